"""The lock: everything pinned by version and hash, nothing forgotten, and what only Windows has only there."""

import re
from pathlib import Path

import pytest

from tools import licences

ROOT = Path(__file__).resolve().parent.parent.parent
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z,-]+\])?==\S+( ; (?P<marker>.+))?")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, list[str]]:
    """Give each package's markers, empty for an unconditional pin."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "--hash=")):
            match = PINNED.fullmatch(line.removesuffix("\\").strip())
            assert match, f"not pinned: {line}"
            found.setdefault(canonical(match["name"]), []).append(match["marker"] or "")
    return found


def test_everything_that_is_asked_for_is_pinned() -> None:
    lines = [
        line
        for name in ("requirements.in", "requirements-dev.in")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if line and line[0].isalpha()
    ]
    asked = {canonical(match[0]) for line in lines if (match := re.match(r"[A-Za-z0-9._-]+", line))}
    assert asked
    assert asked - set(locked()) == set(), "run `make lock`"


def test_pip_installs_only_files_that_we_know() -> None:
    pins = (ROOT / "requirements.lock").read_text(encoding="utf-8").split("\n    # via")
    assert len(pins) > len(locked())
    without = [pin.splitlines()[-1] for pin in pins[:-1] if "--hash=sha256:" not in pin]
    assert without == []


def test_every_package_has_a_licence_that_we_accept() -> None:
    listed = {}
    for line in licences.PAGE.read_text(encoding="utf-8").splitlines()[7:]:
        name, versions, licence = (cell.strip() for cell in line.strip("|").split("|"))
        assert licences.is_accepted(licence), name
        listed[name] = versions.split(", ")
    assert listed == licences.locked(), "run `make licences`"


@pytest.mark.parametrize("licence", ["AGPL-3.0", "GNU General Public License v3", "Business Source License 1.1", ""])
def test_a_licence_that_binds_the_product_is_refused(licence: str) -> None:
    assert not licences.is_accepted(licence)


def test_both_versions_of_django_are_there_for_their_pythons() -> None:
    assert locked()["django"] == ["python_full_version < '3.12'", "python_full_version >= '3.12'"]


def test_metatrader_is_for_windows_only() -> None:
    assert locked()["metatrader5"] == ["sys_platform == 'win32'"]
