"""Django forms generated from a strategy's parameters: groups, units, help, strict numbers, field errors."""

import re
from types import NoneType, UnionType
from typing import Any, Literal, Protocol, Union, get_args, get_origin

from django import forms
from pydantic import ValidationError as ParamsError
from pydantic.fields import FieldInfo

from accounts.numberfields import StrictFloatField, StrictIntegerField
from strategies.params import StrategyParams

NAMED = re.compile(r"^(?:Value error, )?((?:\w+)(?: and \w+)*): (.+)$", re.DOTALL)


class HasParams(Protocol):
    """What a form is generated from: a strategy, or anything else with typed parameters."""

    @property
    def params(self) -> type[StrategyParams]: ...


class ParamsForm(forms.Form):
    """A strategy's parameters; `params` holds the validated model after is_valid()."""

    spec: HasParams
    params: Any = None

    def clean(self) -> dict[str, Any]:
        """Let the parameters' own model judge them, so that form, API and command line refuse the same."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            self.params = self.spec.params.model_validate(cleaned)
        except ParamsError as problem:
            for error in problem.errors():
                self._add(error)
        return cleaned

    def _add(self, error: Any) -> None:
        """Put an error at its field; one across fields at every field that it names."""
        location, message = error["loc"], str(error["msg"])
        if location and location[0] in self.fields:
            self.add_error(str(location[0]), message)
            return
        named = NAMED.match(message)
        names = [n for n in (named[1].split(" and ") if named else []) if n in self.fields]
        for name in names or [None]:
            self.add_error(name, message.removeprefix("Value error, "))


def _plain_type(annotation: Any) -> tuple[Any, bool]:
    """Return a parameter's type without None, and whether it may be left empty."""
    if get_origin(annotation) in (Union, UnionType):
        parts = [a for a in get_args(annotation) if a is not NoneType]
        return parts[0], len(parts) < len(get_args(annotation))
    return annotation, False


def _field(name: str, info: FieldInfo) -> forms.Field:
    kind, optional = _plain_type(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    unit = str(extra.get("unit", ""))
    label = name.replace("_", " ").capitalize() + (f" ({unit})" if unit else "")
    bounds = {type(m).__name__: m for m in info.metadata}
    low = getattr(bounds.get("Ge"), "ge", None)
    high = getattr(bounds.get("Le"), "le", None)
    text = " ".join(filter(None, (info.description or "", _range_text(bounds))))
    common: dict[str, Any] = {"label": label, "help_text": text, "required": not optional}
    if kind is bool:
        return forms.BooleanField(**common | {"required": False})
    if get_origin(kind) is Literal:
        return forms.ChoiceField(choices=[(c, str(c).capitalize()) for c in get_args(kind)], **common)
    if kind is int:
        return StrictIntegerField(min_value=low, max_value=high, **common)
    if kind is float:
        return StrictFloatField(
            min_value=low, max_value=high, widget=forms.TextInput(attrs={"inputmode": "decimal"}), **common
        )
    return forms.CharField(max_length=200, **common | {"required": not optional and info.default != ""})


def _range_text(bounds: dict[str, Any]) -> str:
    parts = [
        f"{word} {_written(getattr(bounds[name], attribute))}"
        for name, attribute, word in (("Gt", "gt", "above"), ("Ge", "ge", "from"), ("Le", "le", "to"))
        if name in bounds
    ]
    return f"({' '.join(parts)})" if parts else ""


def _written(value: float) -> str:
    """Write a limit as people do: 1,000,000 and 0.1, never 1e+06."""
    return f"{value:,.10f}".rstrip("0").rstrip(".")


def config_form(spec: HasParams, initial: dict[str, Any] | None = None) -> type[ParamsForm]:
    """Make the form class of a strategy; `initial` values replace the defaults."""
    fields: dict[str, Any] = {}
    for name, info in spec.params.model_fields.items():
        field = _field(name, info)
        field.initial = (initial or {}).get(name, info.default)
        fields[name] = field
    return type(f"{spec.params.__name__}Form", (ParamsForm,), {"spec": spec, **fields})


def fieldsets(spec: HasParams) -> list[tuple[str, list[str]]]:
    """Return the form's groups with their field names, in the order of declaration."""
    groups: dict[str, list[str]] = {}
    for name, info in spec.params.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        groups.setdefault(str(extra.get("group") or "General"), []).append(name)
    return list(groups.items())
