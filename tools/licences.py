"""`python tools/licences.py` writes docs/licences.md: every locked package with the licence that its metadata names.

It refuses a package under none of the licences that we accept; exit code 1 names it. tests/tradingsite/test_lock.py
fails when page and lock are not of the same packages.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "licences.md"
NAME = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,-]+\])?==(\S+)", re.MULTILINE)
# Licences under which the product may be shipped with the package beside it, by words of their usual names
ACCEPTED = (
    "mit", "bsd", "apache", "mpl", "mozilla", "psf", "python software", "isc", "lgpl", "unlicense", "zlib", "0bsd",
    "cc0", "postgresql", "zpl", "zope", "artistic",
)  # fmt: skip
# Not installed on every system, or without words in their metadata: read from their own pages
BY_HAND = {"metatrader5": "MIT", "colorama": "BSD-3-Clause", "u-msgpack-python": "MIT", "winloop": "MIT"}
HEAD = """# Licences

What `requirements.lock` installs, and under which licence. Written by `make licences`; a package whose licence is not
on the list in `tools/licences.py` is refused there.

| package | version | licence |
| --- | --- | --- |"""


def canonical(name: str) -> str:
    """Return a package's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, list[str]]:
    """Return every locked package with its versions."""
    found: dict[str, list[str]] = {}
    for name, version in NAME.findall((ROOT / "requirements.lock").read_text(encoding="utf-8")):
        found.setdefault(canonical(name), []).append(version)
    return found


def licence_of(name: str) -> str:
    """Return the licence that a package's metadata names, in one line; empty when it names none."""
    if name in BY_HAND:
        return BY_HAND[name]
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    classes = [c.rpartition("::")[2].strip() for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    named = ", ".join(c for c in classes if c != "OSI Approved")
    texts = (*(about.get_all("License-Expression") or ()), named, *(about.get_all("License") or ()))
    text = next((t.strip() for t in texts if t.strip()), "")
    return text.splitlines()[0][:80] if text else ""


def is_accepted(licence: str) -> bool:
    """Tell whether a licence is one of those that we accept."""
    return any(word in licence.lower() for word in ACCEPTED)


def page() -> str:
    """Return the page of what is installed here. Raises LookupError, naming what has no licence that we accept."""
    rows = {name: (versions, licence_of(name)) for name, versions in sorted(locked().items())}
    unknown = [f"{name} ({licence or 'none named'})" for name, (_, licence) in rows.items() if not is_accepted(licence)]
    if unknown:
        raise LookupError(f"no accepted licence: {', '.join(unknown)}")
    lines = [f"| {name} | {', '.join(versions)} | {licence} |" for name, (versions, licence) in rows.items()]
    return "\n".join([HEAD, *lines, ""])


def main() -> int:
    """Write the page; return the exit code."""
    try:
        PAGE.write_text(page(), encoding="utf-8")
    except LookupError as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
