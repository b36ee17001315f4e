"""Forms of the account pages."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts.adminkit import DeskModelForm, DialogForm, ReasonDialog
from accounts.models import BrokerKind, DesiredState, Symbol, TradingAccount
from accounts.selectors import free_paper_login, password_of
from accounts.services import PASSWORD_LENGTH_MAX, investor_objection
from accounts.validation import check_account, pairing_code, plain_text, symbol_name, taken_over

# A session pins these when it starts, so they change only while nothing runs
PINNED = ("broker", "login", "server", "terminal_path", "margin_mode", "demo")
# Said when a paper account is created, and never again
PAPER_FIELDS = ("source", "paper_deposit")
# What a paper account is not asked for
OF_BROKER = ("login", "server")


def password_field(help_text: str, *, required: bool, label: str = "Password") -> forms.CharField:
    """Make a field that takes a password and never shows one."""
    return forms.CharField(
        label=label,
        required=required,
        strip=False,
        max_length=PASSWORD_LENGTH_MAX,
        help_text=help_text,
        validators=[plain_text],
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False),
    )


class AccountForm(DeskModelForm[TradingAccount]):
    """An account as a person edits it; the password goes in and never comes out."""

    password = password_field("Stored encrypted and never shown. Leave blank to keep the stored one.", required=False)

    investor_password = password_field(
        "Only reads. Used instead of the password wherever nothing is sent: comparing and examining while no engine "
        "runs the account. Stored encrypted and never shown. Leave blank to keep the stored one.",
        required=False,
        label="Investor password",
    )
    pairing = forms.CharField(
        label="Pairing code",
        required=False,
        max_length=200,
        help_text="Remote terminals only: the line that `python -m brokers.mt5.agent --pairing` prints beside the "
        "terminal. Stored encrypted and never shown. Leave blank to keep the stored one.",
        validators=[pairing_code],
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"}, render_value=False),
    )

    class Meta:
        model = TradingAccount
        fields = (
            "name",
            "broker",
            "login",
            "server",
            "terminal_path",
            "margin_mode",
            "currency",
            "demo",
            "restart_policy",
            "placement",
            "source",
            "paper_deposit",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Who may only look has no fields to fill in
        for name in self.fields.keys() & set(OF_BROKER):
            self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        self._complete(cleaned)
        if (objection := self._investor_objection(cleaned)) is not None:
            raise ValidationError({"investor_password": objection})
        if self.instance.pk and "demo" in self.changed_data:
            raise ValidationError(
                {"demo": "Demo or real is pinned when an account is created: create another account for the other."}
            )
        pinned = [name for name in PINNED if name in self.changed_data]
        if self.instance.pk and pinned and self.instance.desired_state != DesiredState.STOPPED:
            names = ", ".join(str(self.fields[name].label) for name in pinned)
            raise ValidationError(f"{names}: stop the account before you change this.", code="running")
        return cleaned

    def _complete(self, cleaned: dict[str, Any]) -> None:
        """Ask a real account for login and server, and give a paper one those of its source. Raises ValidationError."""
        is_paper = cleaned.get("broker") == BrokerKind.PAPER
        if self.instance.pk:
            if self.instance.is_paper != is_paper:
                raise ValidationError({"broker": "An account is on paper from its creation on, or never."})
            fixed = [name for name in PAPER_FIELDS if name in self.changed_data]
            if fixed:
                raise ValidationError(dict.fromkeys(fixed, "Fixed when the account was created: create another one."))
        source = cleaned.get("source")
        if is_paper and source is not None and not self.instance.pk:
            cleaned["login"] = cleaned.get("login") or free_paper_login(source)
            cleaned["server"] = source.server
            cleaned["demo"] = True
        for name in OF_BROKER:
            if not cleaned.get(name) and name not in self.errors and not (is_paper and source is None):
                self.add_error(name, self.fields[name].error_messages["required"])

    def _investor_objection(self, cleaned: dict[str, Any]) -> str | None:
        given = cleaned.get("investor_password")
        if not given:
            return None
        master = cleaned.get("password") or (password_of(self.instance) if self.instance.pk else "")
        return investor_objection(cleaned.get("broker", ""), given, master)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if not self.instance.pk:
            taken_over(self.instance)
        try:
            check_account(self.instance)
        except ValidationError as error:
            for field, texts in error.message_dict.items():
                if field in self.fields and field not in self.errors:
                    self.add_error(field, texts)


class SymbolForm(DeskModelForm[Symbol]):
    """A symbol's two names, in the shape that a broker can have."""

    class Meta:
        model = Symbol
        fields = ("account", "name", "broker_name")

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        symbol_name(name)
        return name

    def clean_broker_name(self) -> str:
        name: str = self.cleaned_data["broker_name"]
        if name:
            symbol_name(name)
        return name


class PasswordDialog(DialogForm):
    """Asks for a new broker password."""

    password = password_field("The terminal's password for this login. Stored encrypted, never shown.", required=True)


class StateDialog(ReasonDialog):
    """Shows what is open on an account before its state changes."""

    def preview(self, object_id: str) -> list[str]:
        account = TradingAccount.objects.select_related("marks").get(pk=object_id)
        marks: Any = getattr(account, "marks", None)
        count = len(marks.identifiers) if marks is not None else 0
        if not count:
            return ["Nothing is open on it."]
        floating = sum(marks.profits) + sum(marks.swaps)
        return [f"{count} position(s) are open, floating {floating:+,.2f} {account.currency}."]


class StartDialog(ReasonDialog):
    """Starting an account with real money asks for its login; a demo account starts with one click."""

    confirm_login = forms.CharField(
        label="This account trades real money. Type its login to start it",
        max_length=20,
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "inputmode": "numeric"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.account = TradingAccount.objects.filter(pk=kwargs["object_id"]).first()
        if self.account is None or self.account.demo:
            del self.fields["confirm_login"]

    def clean_confirm_login(self) -> str:
        typed: str = self.cleaned_data["confirm_login"].strip()
        if self.account is not None and typed != str(self.account.login):
            raise ValidationError(f"That is not the login of {self.account.name}.", code="login")
        return typed

    def input(self) -> dict[str, Any]:
        return {"reason": self.cleaned_data["reason"]}
