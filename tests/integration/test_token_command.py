"""`fhirserver token`: what it issues counts at a server, until it takes it back."""

from __future__ import annotations

import asyncio
from io import StringIO
from pathlib import Path

import pytest

from fhirserver.cli import main
from fhirserver.settings import Settings
from tests.integration.serving import serving


async def test_a_token_counts_until_it_is_taken_back(
    mongo_url: str,
    database_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "address").write_text(f"{mongo_url}\n")
    monkeypatch.setenv("FHIRSERVER_DATABASE", database_name)
    monkeypatch.delenv("FHIRSERVER_MONGO_URL", raising=False)
    monkeypatch.setenv("FHIRSERVER_MONGO_URL_FILE", str(tmp_path / "address"))

    async def command(*words: str, given: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", StringIO(given))
        code = await asyncio.to_thread(main, ["token", *words])
        return code, *capsys.readouterr()

    async with serving(Settings(mongo_url, database=database_name, log_requests=False)) as server:

        async def status(token: str) -> int:
            return (await server("GET", "/Patient", headers={"Authorization": f"Bearer {token}"})).status_code

        scope = ("--scope", "system/Patient.rs")
        _, out, _ = await command("issue", "--user", "Organization/lab", *scope)
        _, other, _ = await command("issue", "--user", "Organization/lab", *scope)
        token, other = out.strip(), other.strip()
        assert (await status(token), await status(other)) == (200, 200)
        assert await command("revoke", given=f"{token}\n") == (0, "", "")
        assert (await status(token), await status(other)) == (401, 200)
        assert await command("revoke", given=token) == (1, "", "fhirserver token: There is no such token.\n")
        assert await command("revoke") == (1, "", "fhirserver token: There is no such token.\n")
        monkeypatch.setenv("FHIRSERVER_MONGO_URL", mongo_url)
        told = "FHIRSERVER_MONGO_URL and FHIRSERVER_MONGO_URL_FILE are both given: one of them is enough."
        assert await command("revoke", given=other) == (1, "", f"fhirserver token: {told}\n")
