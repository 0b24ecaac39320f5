"""The catalog of further search parameters: whatever happens in whatever order, a form in use changes in two steps."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.interactions.parameters import catalog as catalogs
from fhirserver.interactions.parameters.catalog import Catalog, Entry, State, derived_by, searched_by
from fhirserver.search.custom import Custom, custom

CORE = load()
IDS = ("a", "b", "c")


def stated(id: str, code: str, element: str) -> Custom:
    found = custom(
        CORE,
        {
            "id": id,
            "url": f"urn:{id}",
            "status": "active",
            "code": code,
            "type": "string",
            "base": ["Patient"],
            "expression": f"Patient.name.{element}",
        },
    )
    assert found is not None
    return found


CUSTOMS = {
    (id, code, element): stated(id, code, element)
    for id in IDS
    for code in ("x-one", "x-two")
    for element in ("family", "text")
}
CHANGES = st.one_of(
    st.tuples(st.just("revised"), st.sampled_from(IDS), st.sampled_from([None, *CUSTOMS.values()])),
    st.tuples(st.just("readied"), st.integers(0, 20), st.sampled_from(IDS)),
    st.tuples(st.just("left"), st.none(), st.none()),
)


def changed(catalog: Catalog, change: tuple[object, ...]) -> Catalog:
    match change:
        case ("revised", str(id), Custom() | None as found):
            return catalog.revised({id: found if found is None or found.id == id else None})
        case ("readied", int(since), str(id)):
            return catalog.readied([(id, since), (id, catalog.generation)])
        case _:
            return catalog.left()


@given(st.lists(CHANGES, max_size=25))
@settings(max_examples=300, deadline=None)
def test_a_form_that_is_searched_by_is_derived_in_that_form_one_generation_longer(
    changes: list[tuple[object, ...]],
) -> None:
    catalog = Catalog()
    for change in changes:
        before, catalog = catalog, changed(catalog, change)
        assert catalog is before or catalog.generation == before.generation + 1
        assert Catalog.of(catalog.as_row()) == catalog
        assert not any(one.meets(two) for one in catalog.entries for two in catalog.entries)
        for entry in before.entries:
            after = catalog.entry(entry.id)
            if entry.state is State.READY:
                assert after is not None
                assert after.stated == entry.stated
            if after is not None and after.state is State.READY and entry.state is not State.READY:
                assert (entry.state, entry.stated, entry.since) == (State.WAITING, after.stated, after.since)
        searched = searched_by(CORE, catalog).further_parameters("Patient")
        derived = derived_by(CORE, catalog).further_parameters("Patient")
        assert dict(searched).items() <= dict(derived).items()
        assert not searched_by(CORE, catalog, sure=False).further_parameters("Patient")


def test_there_is_room_for_so_many() -> None:
    entries = tuple(Entry(f"e{n}", {"code": f"c{n}", "base": ["Basic"]}, State.READY, 1) for n in range(catalogs.MOST))
    full = Catalog(1, entries)
    assert full.revised({"a": CUSTOMS["a", "x-one", "family"]}) is full
    room = Catalog(1, entries[1:])
    assert len(room.revised({id: CUSTOMS[id, "x-one", "family"] for id in IDS}).entries) == catalogs.MOST
