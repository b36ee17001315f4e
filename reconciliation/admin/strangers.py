"""Admin of positions that are not ours: untouched and shown apart, claimed into a bot's cycle, and released again."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admincells import STATES, link, moment, money, plain
from accounts.adminkit import CLOCK, FactAdmin, ScopedRelatedFilter, display, person, post_dialog, scoped
from cycles.models import Cycle
from orders.models import AccountMarks
from reconciliation import selectors
from reconciliation.admin import dialogs
from reconciliation.models import Claim, Divergence, ManualPosition
from reconciliation.services import claims


@admin.register(ManualPosition)
class ManualPositionAdmin(FactAdmin[ManualPosition]):
    """Foreign positions that are at a broker now; the engine leaves them alone."""

    list_display = ("number", "account", "symbol", "side", "lots", "entry", "floating", "opened", "state_label")
    list_display_links = ("number",)
    list_filter = (("account", ScopedRelatedFilter),)
    search_fields = ("=ticket", "=identifier", "symbol")
    list_select_related = ("account",)
    ordering = ("account__name", "ticket")
    actions_detail = ("adopt",)
    fields = ("account", "ticket", "symbol", "side", "lots", "entry", "floating", "opened", "state_label")
    readonly_fields = ("side", "lots", "entry", "floating", "opened", "state_label")

    class Media:
        css = {"all": ("reconciliation/desk.css",)}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ManualPosition]:
        found = selectors.manual_positions().values("pk")
        return scoped(ManualPosition.objects.filter(pk__in=found), request)

    @display(description="Position", ordering="ticket")
    def number(self, row: Divergence) -> str:
        return f"#{row.ticket}"

    @display(description="Side", label=STATES)
    def side(self, row: Divergence) -> tuple[str, str]:
        side = str(row.theirs.get("side", ""))
        return side, side.capitalize()

    @display(description="Lots")
    def lots(self, row: Divergence) -> str:
        return plain(row.theirs.get("volume"))

    @display(description="Entry")
    def entry(self, row: Divergence) -> str:
        return plain(row.theirs.get("price"))

    @display(description="Floating")
    def floating(self, row: Divergence) -> str:
        marks = AccountMarks.objects.filter(account_id=row.account_id).first()
        if marks is None or row.identifier not in marks.identifiers:
            return money(None)
        at = marks.identifiers.index(row.identifier)
        return money(marks.profits[at] + marks.swaps[at])

    @display(description="Opened (UTC)")
    def opened(self, row: Divergence) -> str:
        return str(row.theirs.get("opened_at", ""))[:19].replace("T", " ")

    @display(description="State", label=STATES)
    def state_label(self, row: Divergence) -> tuple[str, str]:
        return row.state, row.get_closed_how_display() or row.get_state_display()

    @post_dialog(
        label="Claim into a cycle",
        question="A bot takes the position over.",
        button="Claim the position",
        path="adopt",
        icon="family_restroom",
        form=dialogs.AdoptDialog,
    )
    def adopt(self, request: HttpRequest, row: Divergence, cycle: Cycle, why: str) -> str:
        claim = claims.claim(divergence=row, cycle=cycle, why=why, by=person(request), at=CLOCK.now())
        return f"#{row.ticket} belongs to {claim.cycle} now."


@admin.register(Claim)
class ClaimAdmin(FactAdmin[Claim]):
    list_display = ("time", "account", "position", "cycle_link", "by", "why", "released", "released_by")
    list_filter = (("account", ScopedRelatedFilter), ("released_at", admin.EmptyFieldListFilter))
    search_fields = ("=order__ticket", "why")
    list_select_related = ("account", "order", "cycle__bot", "by", "released_by")
    ordering = ("-at", "-id")
    actions_detail = ("release",)

    class Media:
        css = {"all": ("reconciliation/desk.css",)}

    @display(description="Claimed (UTC)", ordering="at")
    def time(self, claim: Claim) -> str:
        return moment(claim.at)

    @display(description="Position")
    def position(self, claim: Claim) -> str:
        return link(claim.order)

    @display(description="Cycle")
    def cycle_link(self, claim: Claim) -> str:
        return link(claim.cycle)

    @display(description="Released (UTC)", ordering="released_at")
    def released(self, claim: Claim) -> str:
        return moment(claim.released_at)

    @post_dialog(
        label="Release",
        question="Give the position back.",
        button="Release the position",
        path="release",
        icon="logout",
        form=dialogs.ReleaseDialog,
        shown_when=lambda claim: claim.released_at is None and claim.order.status == "open",
    )
    def release(self, request: HttpRequest, claim: Claim, why: str) -> str:
        claims.release(claim=claim, why=why, by=person(request), at=CLOCK.now())
        return f"{claim.order} is nobody's again."
