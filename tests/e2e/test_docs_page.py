"""The page at `/docs` in a real browser: it shows the description, asks nobody else for anything, and its requests work."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.e2e.server import Server, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("docs"), "--demo") as running:
        yield running


@pytest.fixture(scope="module")
def token(server: Server) -> str:
    return server.token("--user", "Patient/sokolova", "--patient", "sokolova", "--scope", "patient/*.cruds")


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        # A container has no user namespaces for the browser's own sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1200, "height": 1400})
        opened.set_default_timeout(60_000)
        yield opened
        browser.close()


def test_the_page_shows_each_type_and_reads_a_record_with_a_token(server: Server, token: str, page: Page) -> None:
    said: list[str] = []
    asked: set[str] = set()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.add(request.url))

    page.goto(f"{server.address}/docs")
    page.wait_for_selector(".opblock-tag")
    tags = page.locator(".opblock-tag").evaluate_all("all => all.map(each => each.dataset.tag)")
    assert {"Patient", "Appointment", "Slot", "MedicationRequest"} <= set(tags)
    assert {"Observation", "Immunization", "Coverage", "Consent", "System", "Health"} <= set(tags)

    page.click("button.authorize")
    page.fill(".modal-ux input", token)
    page.click(".modal-ux button.authorize")
    page.click(".modal-ux button.btn-done")

    page.click("#operations-tag-Observation button.expand-operation")
    page.click("#operations-Observation-get-fhir-Observation-id .opblock-summary-control")
    page.click("button.try-out__btn")
    page.click("button.execute")
    page.wait_for_selector(".live-responses-table tr.response")
    assert page.inner_text(".live-responses-table tr.response .response-col_status").split()[0] == "200"
    assert "sokolova-blood-count-1-hemoglobin" in page.inner_text(".live-responses-table .highlight-code")

    page.click("#operations-Observation-post-fhir-Observation .opblock-summary-control")
    create = page.locator("#operations-Observation-post-fhir-Observation")
    create.get_by_text("Try it out").click()
    assert json.loads(create.locator("textarea.body-param__text").input_value())["resourceType"] == "Observation"
    create.get_by_role("tab", name="Schema").first.click()
    schema = create.locator(".model-box").first.inner_text()
    # Its own parts are there; of a data type there is the name, and none of the types that this one leads to.
    assert "[Observation.component{...}]" in schema
    assert re.search(r"code\*\s+CodeableConcept\{\s*\}", schema)

    assert [url for url in asked if not url.startswith((server.address, "data:"))] == []
    assert said == []
