"""The composition root: builds the rooms from the settings, and joins them into one ASGI application.

`/fhir` goes straight to the facade, everything else to a FastAPI application. Starting and stopping belong to the outer one:
the store is open before the first request and closes after the last.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI

from fhirserver import __version__
from fhirserver.access.bearer import principal_for
from fhirserver.access.gate.decide import Gate
from fhirserver.access.matching import PatientKeys
from fhirserver.access.principal import OPEN, Principal
from fhirserver.definitions import Definitions, load
from fhirserver.interactions.capabilities import Instance
from fhirserver.interactions.context import Services
from fhirserver.interactions.parameters import Derivation, Keeper, Means, Reindexing, Upkeep, noting
from fhirserver.jobs import Worker
from fhirserver.model.json import dump
from fhirserver.model.uuid import RANDOM_BYTES, version_7
from fhirserver.rest.address import BASE_PATH, Hosts
from fhirserver.rest.authenticate import Authenticate, bearer, nobody_asked
from fhirserver.rest.cors import Cors
from fhirserver.rest.facade import Bounds, Door, Facade
from fhirserver.rest.messages.request import BodyBounds, request_ids
from fhirserver.rest.messages.responses import Receive, Scope, Send, dated
from fhirserver.rest.openapi.document import About, description
from fhirserver.rest.openapi.pages import pages
from fhirserver.rest.operate.health import router
from fhirserver.rest.operate.log import Log
from fhirserver.rest.operate.metrics import Metrics
from fhirserver.rest.statements import made_once, statement
from fhirserver.search.index.identifiers import identifiers
from fhirserver.search.request import Bounds as SearchBounds
from fhirserver.settings import Settings
from fhirserver.store import FIRST_TYPES, Store
from fhirserver.store.commit import request_rows
from fhirserver.validation import Validator

_FHIR = BASE_PATH.encode()
RELEASED = "2026-01-01"
"""The date of the statement of capabilities: it changes with what the server can do, not with every start."""
READY_SECONDS = 3
"""How long the question whether reads and writes work may take."""


class Application:
    """The ASGI application. `services` are there while its lifespan runs; `figures` is the folder of several workers' metrics."""

    def __init__(self, settings: Settings, figures: Path | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics(figures)
        self.services: Services | None = None
        self.upkeep: Upkeep | None = None
        self._facade: Facade | None = None
        self._rest: FastAPI | None = None

    async def start(self, types: Iterable[str] = FIRST_TYPES) -> Services:
        """Open the store, with collections for these types, and build the rooms on it."""
        settings = self.settings
        definitions = load()
        derive = derivation(settings)
        store = await Store.open(
            settings.mongo_url,
            settings.database,
            derive=derive,
            seal=noting(request_rows, self._heard),
            native_copy=settings.native_copy,
            types=types,
        )
        keeper = Keeper(Means(definitions, store, derive, name=_new_id()))
        services = self.services = self._services(definitions, store, derive, keeper)
        self.upkeep = Upkeep(keeper, Worker(keeper.queue, keeper.name, Reindexing(keeper, store).handlers))
        try:
            await self.upkeep.start()
        except BaseException:
            await self.stop()
            raise
        authenticate = _authentication(settings, store)
        self._facade = Facade(self._door(services, authenticate))
        # `pages` has /openapi.json and /docs, which come without the internet.
        self._rest = FastAPI(title="fhirserver", openapi_url=None, redirect_slashes=False)
        self._rest.include_router(router(_readiness(store), self.metrics, authenticate))
        self._rest.include_router(pages(_openapi(definitions, settings)))
        return services

    def _services(self, definitions: Definitions, store: Store, derive: Derivation, keeper: Keeper) -> Services:
        settings = self.settings
        return Services(
            definitions=definitions,
            store=store,
            gate=Gate(store, _now),
            validator=Validator(definitions),
            derive=derive,
            identifiers=identifiers(definitions, settings.base_url),
            clock=_now,
            new_id=_new_id,
            base_url=settings.base_url,
            bounds=_search_bounds(settings),
            patient_keys=PatientKeys(store.documents("patientkeys"), observe=self.metrics.observe_key),
            zone=settings.zone,
            consents_per_patient=settings.consents_per_patient,
            parameters=keeper,
            guards_references=settings.referential_integrity,
        )

    async def stop(self) -> None:
        """Close the store. What was acknowledged is durable already."""
        services, self.services, self._facade, self._rest = self.services, None, None, None
        if services is not None and self.upkeep is not None:
            await self.upkeep.pause()
            await services.store.settle()
            await self.upkeep.keeper.stop()
            await services.store.close()

    def current(self) -> Services:
        """The services of a request that begins now: its searches are read by one state of the search parameters."""
        services = self.services
        if services is None or services.parameters is None:
            raise RuntimeError("The application was not started: run it with its lifespan.")
        definitions = services.parameters.definitions
        if services.definitions is not definitions:
            services = self.services = replace(services, definitions=definitions)
        return services

    def _heard(self) -> None:
        if self.upkeep is not None:
            self.upkeep.keeper.stir()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._facade is not None and _is_fhir(scope["raw_path"]):
            await self._facade(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._rest is not None:
            await self._rest(scope, receive, dated(send, _now))
        else:
            raise RuntimeError("The application was not started: run it with its lifespan.")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.start()
        except BaseException:
            await send({"type": "lifespan.startup.failed"})
            raise
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _door(self, services: Services, authenticate: Authenticate) -> Door:
        settings = self.settings
        open_mode = settings.auth == "none"
        instance = Instance(
            settings.base_url,
            __version__,
            RELEASED,
            open_mode,
            guards_references=settings.referential_integrity,
            cors=bool(settings.origins),
        )
        return Door(
            services=self.current,
            authenticate=authenticate,
            hosts=Hosts(settings.base_url, open_mode=open_mode),
            bounds=Bounds(
                BodyBounds(settings.body_size, settings.body_ratio, settings.bundle_entries), settings.url_size
            ),
            statement=statement(lambda: self.current().definitions, instance),
            new_request_id=request_ids(os.urandom(6)),
            clock=_now,
            metrics=self.metrics,
            log=Log(requests=settings.log_requests),
            cors=Cors(settings.origins),
        )


def create_app(settings: Settings) -> Application:
    """The application for these settings; nothing is opened before its lifespan starts."""
    return Application(settings)


def _is_fhir(raw_path: bytes) -> bool:
    return raw_path.startswith(_FHIR) and raw_path[len(_FHIR) : len(_FHIR) + 1] in (b"/", b"")


def derivation(settings: Settings) -> Derivation:
    """What is derived from a resource when it is stored, and again by `reindex`."""
    guards_references, zone = settings.referential_integrity, settings.zone
    return Derivation(load(), settings.base_url, guards_references=guards_references, zone=zone)


def _search_bounds(settings: Settings) -> SearchBounds:
    return SearchBounds(
        parameters=settings.search_parameters,
        alternatives=settings.search_alternatives,
        default_count=settings.search_count,
        max_count=settings.search_count_bound,
    )


def _authentication(settings: Settings, store: Store) -> Authenticate:
    if settings.auth == "none":
        return nobody_asked(OPEN)
    tokens = store.documents("tokens")

    async def lookup(token: str) -> Principal:
        return await principal_for(tokens, token, _now())

    return bearer(lookup)


def _openapi(definitions: Definitions, settings: Settings) -> Callable[[], Awaitable[bytes]]:
    """The OpenAPI document."""
    about = About(__version__, settings.base_url, settings.auth == "none")
    return made_once(lambda: dump(description(definitions, about)))


def _readiness(store: Store) -> Callable[[], Awaitable[bool]]:
    """Whether a write and a read work: a row of our own is put and got again."""
    rows = store.documents("health")

    async def ready() -> bool:
        try:
            async with asyncio.timeout(READY_SECONDS):
                return await store.ready() and await rows.keeps({"_id": _new_id(), "at": _now()})
        except Exception:
            return False  # whatever it is, this server is not ready

    return ready


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return version_7(_now(), os.urandom(RANDOM_BYTES))
