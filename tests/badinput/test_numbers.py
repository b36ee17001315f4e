"""Numbers in forms: plain digits and one dot; what is read in two ways, or has no bound, is refused at its field."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.validators import MaxValueValidator, MinValueValidator
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse

from accounts.models import TradingAccount, User
from accounts.numberfields import StrictDecimalField, StrictFloatField, StrictIntegerField
from risk.domain.settings import GuardSettings
from strategies import registry
from strategies.models import Bot
from tests.admin.conftest import Desk
from tests.admin.test_config_page import page_of, typed
from tests.admin.test_forms import ACCOUNT, BOT, INLINES

STRICT = (StrictFloatField, StrictDecimalField, StrictIntegerField)
ODD_NUMBERS = ("1_000", "1_0", "٣", "１", "1E+5", "1e2", "0x10", "1,5", "1 000", "NaN", "Infinity", "+-1", "9" * 400)
OURS = {path.parent.name for path in Path(settings.BASE_DIR).glob("*/__init__.py")} - {"tests"}


def below(kind: type[forms.BaseForm]) -> Iterator[type[forms.BaseForm]]:
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def number_fields() -> dict[str, forms.Field]:
    """Give every field for a number, or for JSON, of a form that somebody can fill in, by form and name."""
    assert get_resolver().url_patterns  # imports every page
    request = RequestFactory().get("/")
    request.user = User(username="root", is_superuser=True, is_staff=True, is_active=True)
    found: dict[str, type[forms.BaseForm]] = {}
    for model, page in admin.site._registry.items():
        is_ours = model._meta.app_label in OURS
        if is_ours and (page.has_add_permission(request) or page.has_change_permission(request)):
            found[model._meta.label] = page.get_form(request)
    for kind in below(forms.BaseForm):
        # What a form has of a model's fields is made anew by the page that uses it
        if kind.__module__.split(".")[0] in OURS and not issubclass(kind, forms.BaseModelForm):
            found[f"{kind.__module__}.{kind.__name__}"] = kind
    kinds = (forms.IntegerField, forms.JSONField)
    return {
        f"{form} {name}": field
        for form, kind in found.items()
        for name, field in getattr(kind, "base_fields", {}).items()
        if isinstance(field, kinds)
    }


def test_every_number_that_can_be_typed_is_strict_and_none_is_json() -> None:
    found = number_fields()
    assert {"strategies.Bot magic", "accounts.TradingAccount login", "reconciliation.ThresholdRule money"} <= set(found)
    assert [name for name, field in found.items() if not isinstance(field, STRICT)] == []


def test_every_number_of_a_model_that_can_be_typed_has_a_smallest_and_a_largest_value() -> None:
    unbounded = []
    for name, field in number_fields().items():
        label, _, column = name.partition(" ")
        model = next((m for m in admin.site._registry if m._meta.label == label), None)
        validators = list(field.validators)
        if model is not None:
            validators += [v for f in model._meta.fields if f.name == column for v in f.validators]
        kinds = {kind for v in validators for kind in (MinValueValidator, MaxValueValidator) if isinstance(v, kind)}
        digits = getattr(field, "max_digits", None)
        if len(kinds) < 2 and not (MinValueValidator in kinds and digits):
            unbounded.append(name)
    assert unbounded == []


@pytest.mark.parametrize("params", [*(spec.params for spec in registry.all_strategies()), GuardSettings])
def test_every_parameter_that_is_a_number_has_a_smallest_and_a_largest_value(params: type) -> None:
    schema = params.model_json_schema()["properties"]  # type: ignore[attr-defined]
    parts = [(name, part) for name, field in schema.items() for part in field.get("anyOf", [field])]
    numbers = [(name, part) for name, part in parts if part.get("type") in ("number", "integer")]
    assert numbers
    for name, part in numbers:
        assert {"minimum", "exclusiveMinimum"} & part.keys(), name
        assert {"maximum", "exclusiveMaximum"} & part.keys(), name


@pytest.mark.parametrize("text", ODD_NUMBERS, ids=lambda text: ascii(text)[:12])
def test_odd_numbers_are_refused_at_their_fields(text: str, desk: Desk, as_: Callable[..., Client]) -> None:
    client = as_("mia")
    answer = client.post(page_of(desk.bot), typed(desk.bot, distance=text, max_cycles=text))
    assert {"distance", "max_cycles"} <= set(answer.context["form"].errors)
    data = {**BOT, "account": desk.account.pk, "magic": text, "interval_seconds": text}
    answer = client.post(reverse("admin:strategies_bot_add"), data)
    assert {"magic", "interval_seconds"} <= set(answer.context["adminform"].form.errors)
    answer = client.post(reverse("admin:accounts_tradingaccount_add"), {**ACCOUNT, **INLINES, "login": text})
    assert "login" in answer.context["adminform"].form.errors
    answer = client.post(reverse("admin:risk_guards", args=(desk.account.pk,)), {"drawdown_close": text})
    assert "drawdown_close" in answer.context["form"].errors
    assert desk.bot.configs.count() == 1
    assert (TradingAccount.objects.count(), Bot.objects.filter(name="Second").count()) == (2, 0)


def test_minus_nothing_is_nothing_and_spaces_around_a_number_are_none() -> None:
    for field in (StrictFloatField(), StrictDecimalField(), StrictIntegerField()):
        assert str(field.clean(" -0 ")).lstrip("-") == str(field.clean("-0")) == str(field.clean("0"))
        assert field.clean(" 7 ") == 7
