"""Admin of backtests: the list, the page that starts one, the page of one, and two compared."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import F, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.forms import AdminForm

from accounts.admincells import NOTHING, STATES, label, link, moment, money
from accounts.adminkit import CLOCK, FactAdmin, ScopedRelatedFilter, display, person, post_dialog, scoped
from backtesting import services
from backtesting.admin.forms import BacktestForm
from backtesting.admin.pages import compared, report_context
from backtesting.admin.trying import try_on_history
from backtesting.domain import Asked
from backtesting.models import Backtest
from backtesting.selectors import balance_of, comparable_with
from backtesting.sources import recorded_span
from marketdata.selectors import candle_store
from strategies.models import Bot

Status = Backtest.Status
GROUPS = [
    ("What", {"fields": ["bot", "version"]}),
    ("Prices", {"fields": ["prices", "begin", "end", "seed", "spread"]}),
    ("Account", {"fields": ["balance", "leverage"]}),
]
COMPARED_WITH_MAX = 100


def is_under_way(backtest: Backtest) -> bool:
    """Tell whether a backtest waits or runs."""
    return backtest.status in (Status.QUEUED, Status.RUNNING) and not backtest.cancel_asked


@admin.register(Backtest)
class BacktestAdmin(FactAdmin[Backtest]):
    account_path = "config__bot__account"
    list_display = ("number", "bot_version", "account_link", "state", "net", "drawdown", "prices", "started", "starter")
    list_display_links = ("number",)
    list_filter = (("config__bot", ScopedRelatedFilter), ("status", ChoicesDropdownFilter))
    search_fields = ("config__bot__name", "source", "data_hash")
    list_select_related = ("config__bot__account", "created_by")
    ordering = ("-created_at", "-id")
    actions_detail = ("cancel", "again")
    change_form_template = "backtesting/run.html"
    fields = ("source",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backtest]:
        # A result holds every trade: lists read two figures of it only
        figures = {"shown_net": F("result__figures__net"), "shown_drawdown": F("result__figures__drawdown")}
        return super().get_queryset(request).defer("result", "plan").annotate(**figures)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("compare/", wrap(self.compare_view), name="backtesting_backtest_compare"),
            path("try/<int:bot_id>/", wrap(self.try_view), name="backtesting_backtest_try"),
            path("<path:object_id>/progress/", wrap(self.progress_view), name="backtesting_backtest_progress"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, None, "trader")

    # Pages

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for a backtest."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        bots = _bots(request)
        chosen = bots.filter(pk=int(text)).first() if (text := request.GET.get("bot", "")).isdecimal() else None
        form = BacktestForm(request.POST or None, bots=bots, initial=_first_values(chosen))
        if request.method == "POST" and form.is_valid() and form.config is not None:
            made = services.ask(config=form.config, asked=form.asked(), by=person(request), clock=CLOCK)
            return redirect("admin:backtesting_backtest_change", object_id=made.pk)
        span = recorded_span(candle_store(), chosen.account.server, chosen.symbols) if chosen else None
        context = {
            **self.admin_site.each_context(request),
            "title": "Start a backtest",
            "form": form,
            "chosen": chosen,
            "span": span,
            "has_bots": bots.exists(),
            "adminform": AdminForm(form, GROUPS, {}, model_admin=self),
        }
        return TemplateResponse(request, "backtesting/start.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show a backtest: how far it is, or what came of it."""
        backtest = self.visible_row(request, object_id)
        others = comparable_with(backtest, super().get_queryset(request))[:COMPARED_WITH_MAX]
        context = {
            "title": f"Backtest {backtest.pk}",
            "backtest": backtest,
            "bot": backtest.config.bot,
            "is_under_way": is_under_way(backtest),
            "state": label(*self.state(backtest)),
            "others": others if backtest.status == Status.DONE else (),
        }
        if backtest.status == Status.DONE:
            context |= report_context(request, backtest)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **context})

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say how far a backtest is; its page asks once a second."""
        backtest = self.visible_row(request, object_id)
        return JsonResponse(
            {
                "status": backtest.status,
                "progress": backtest.progress,
                "text": backtest.get_status_display(),
                "is_over": not (is_under_way(backtest) or backtest.status in (Status.QUEUED, Status.RUNNING)),
            }
        )

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        """Show two finished backtests side by side."""
        pair = []
        for name in ("one", "two"):
            text = request.GET.get(name, "")
            found = self.get_queryset(request).filter(status=Status.DONE, pk=int(text)) if text.isdecimal() else None
            row = found.select_related("config__bot__account").first() if found is not None else None
            if row is None:
                raise Http404
            pair.append(row)
        title = f"Backtests {pair[0].pk} and {pair[1].pk}"
        context = {**self.admin_site.each_context(request), "title": title, **compared(*pair)}
        return TemplateResponse(request, "backtesting/compare.html", context)

    def try_view(self, request: HttpRequest, bot_id: int) -> HttpResponse:
        """Try the values of a configuration form on recorded prices, beside the saved ones."""
        return try_on_history(request, bot_id)

    # Columns

    @display(description="#", ordering="pk")
    def number(self, backtest: Backtest) -> str:
        return f"{backtest.pk}"

    @display(description="Bot", ordering="config__bot__name")
    def bot_version(self, backtest: Backtest) -> str:
        url = reverse("admin:strategies_bot_change", args=(backtest.config.bot_id,))
        return format_html('<a class="text-link" href="{}">{}</a>', url, backtest.config)

    @display(description="Account", ordering="config__bot__account__name")
    def account_link(self, backtest: Backtest) -> str:
        return link(backtest.config.bot.account)

    @display(description="State", label=STATES, ordering="status")
    def state(self, backtest: Backtest) -> tuple[str, str]:
        if backtest.status == Status.RUNNING:
            if backtest.cancel_asked:
                return "warning", "Ending"
            return "info", f"{backtest.progress:.0%}"
        colour = {Status.QUEUED: "waiting", Status.CANCELLED: "cancelled"}.get(
            Status(backtest.status), str(backtest.status)
        )
        return colour, backtest.get_status_display()

    @display(description="Net")
    def net(self, backtest: Any) -> str:
        return money(backtest.shown_net) if backtest.shown_net is not None else NOTHING

    @display(description="Drawdown")
    def drawdown(self, backtest: Any) -> str:
        return f"{backtest.shown_drawdown:,.2f}" if backtest.shown_drawdown is not None else NOTHING

    @display(description="Prices")
    def prices(self, backtest: Backtest) -> str:
        return backtest.source or NOTHING

    @display(description="Asked for (UTC)", ordering="created_at")
    def started(self, backtest: Backtest) -> str:
        return moment(backtest.created_at)

    @display(description="By")
    def starter(self, backtest: Backtest) -> str:
        return str(backtest.created_by or "command")

    # Actions

    @post_dialog(
        label="Cancel",
        question="The backtest ends, and keeps no result.",
        button="Cancel the backtest",
        path="cancel",
        icon="cancel",
        shown_when=is_under_way,
    )
    def cancel(self, request: HttpRequest, backtest: Backtest) -> str:
        if services.cancel(backtest=backtest, clock=CLOCK):
            return f"Backtest {backtest.pk} ends."
        return f"Backtest {backtest.pk} was over already."

    @post_dialog(
        label="Run again",
        question="The same configuration on the same period, as another backtest.",
        button="Run it again",
        path="again",
        icon="replay",
        shown_when=lambda backtest: bool(backtest.asked) and not is_under_way(backtest),
    )
    def again(self, request: HttpRequest, backtest: Backtest) -> str:
        if not backtest.asked:
            return "This one was run by command; run the command again."
        made = services.ask(
            config=backtest.config, asked=Asked.of_json(backtest.asked), by=person(request), clock=CLOCK
        )
        messages.info(
            request, format_html('It is <a class="text-link" href="{}">backtest {}</a>.', _page(made), made.pk)
        )
        return "Asked for once more."


def _page(backtest: Backtest) -> str:
    return reverse("admin:backtesting_backtest_change", args=(backtest.pk,))


def _bots(request: HttpRequest) -> QuerySet[Bot]:
    """Return the bots that a person may replay."""
    return scoped(Bot.objects.select_related("account", "config").order_by("account__name", "name"), request, "trader")


def _first_values(bot: Bot | None) -> dict[str, Any]:
    """Return what the form shows at first."""
    if bot is None:
        return {}
    balance = balance_of(bot.account)
    return {"bot": bot} | ({"balance": round(balance, 2)} if balance else {})
