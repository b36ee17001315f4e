"""`python tools/clienttypes.py` writes the Python client's routes and row types from the API's own document.

tests/clients/test_python.py fails when the file is not fresh.
"""

import os
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "clients" / "python" / "src" / "tradingdesk" / "routes.py"
HEAD = '''"""The lists of the API and the types of their rows. Written by tools/clienttypes.py; do not edit."""

from collections.abc import Callable
from typing import Any, TypedDict

from tradingdesk.resource import Resource

# fmt: off
'''
PLAIN = {"integer": "int", "number": "float", "string": "str", "boolean": "bool"}


def document() -> dict[str, Any]:
    """Return the API's document; Django is set up already."""
    from drf_spectacular.generators import SchemaGenerator

    found: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return found


def written(schema: dict[str, Any]) -> str:
    """Return the text of the module."""
    components, rows = schema["components"]["schemas"], {}
    for path, methods in schema["paths"].items():
        list_of = _row_of(methods.get("get", {}), components)
        if list_of is not None:
            rows[path.removeprefix("/api/")] = list_of
    wanted: list[str] = []
    for name in rows.values():
        _collect(name, components, wanted)
    types = "".join(_typed(name, components) for name in wanted)
    lines = [
        f'        self.{path.replace("-", "_")}: Resource[{name}] = make("{path}")'
        for path, name in sorted(rows.items())
    ]
    routes = '\n\nclass Routes:\n    """One attribute for each list of the API."""\n\n'
    routes += "    def __init__(self, make: Callable[[str], Resource[Any]]) -> None:\n"
    return (HEAD + types + "# fmt: on\n" + routes + "\n".join(lines) + "\n").replace("\0", " ")


def _row_of(get: dict[str, Any], components: dict[str, Any]) -> str | None:
    content = get.get("responses", {}).get("200", {}).get("content", {}).get("application/json", {})
    page = components.get(_named(content.get("schema", {})) or "", {})
    results = page.get("properties", {}).get("results", {})
    return _named(results.get("items", {}))


def _named(part: dict[str, Any]) -> str | None:
    for inner in (part, *part.get("allOf", ()), *part.get("oneOf", ())):
        if "$ref" in inner:
            return str(inner["$ref"]).rpartition("/")[2]
    return None


def _collect(name: str, components: dict[str, Any], wanted: list[str]) -> None:
    if name in wanted:
        return
    for part in components[name].get("properties", {}).values():
        for inner in (part, part.get("items", {})):
            found = _named(inner)
            if found is not None and "properties" in components[found]:
                _collect(found, components, wanted)
    wanted.append(name)


def _typed(name: str, components: dict[str, Any]) -> str:
    # Blanks within a pair would let a line end there
    lines = [
        f'"{field}": {_type(part, components)},'.replace(" ", "\0")
        for field, part in components[name]["properties"].items()
    ]
    body = textwrap.wrap(" ".join(lines), 112, initial_indent="    ", subsequent_indent="    ")
    said = re.sub(r"\s+", " ", str(components[name].get("description", ""))).partition(". ")[0].rstrip(".")
    return f'\n# {said[:110] or name}\n{name} = TypedDict("{name}", {{\n' + "\n".join(body) + "\n})\n"


def _type(part: dict[str, Any], components: dict[str, Any]) -> str:
    found = _named(part)
    if found is not None:
        text = found if "properties" in components[found] else PLAIN.get(components[found].get("type", ""), "Any")
    elif part.get("type") == "array":
        text = f"list[{_type(part['items'], components)}]"
    elif part.get("type") == "object":
        text = "dict[str, Any]"
    else:
        text = PLAIN.get(part.get("type", ""), "Any")
    return f"{text} | None" if part.get("nullable") and text != "Any" else text


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
    import django

    django.setup()
    FILE.write_text(written(document()), encoding="utf-8")
    print(f"{FILE.relative_to(ROOT)} is written")
