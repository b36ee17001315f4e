"""Lists of facts that a person takes along: totals of all rows that match, and the rows as CSV or XLSX."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Count, Model, QuerySet, Sum
from django.db.models.expressions import Combinable
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from accounts.admincells import amount, money
from accounts.adminkit import FactAdmin, M
from accounts.downloads import FORMATS, download
from accounts.models import BrokerKind, Money
from core.tables import Cell

ROWS_AT_ONCE = 2_000


class ExportedAdmin(FactAdmin[M]):
    """A list of facts with a footer: totals per currency and kind of money, and links to the rows as files.

    `export_columns` are the file's headers; `export_row` gives a row's cells in their order.
    """

    export_columns: Sequence[str] = ()
    # What is added up, by its title; titles in `gains` show sign and colour
    totals_of: Mapping[str, Combinable | str] = {}
    gains: Sequence[str] = ()
    empty_text = "Nothing here yet."
    list_after_template = "desk/totals.html"

    def export_row(self, row: M) -> Sequence[Cell]:
        raise NotImplementedError

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        kind = request.GET.get("export")
        if kind is not None:
            query = request.GET.copy()
            del query["export"]
            request.GET = query  # type: ignore[assignment]  # a filter of that name is none of Django's
            if kind in FORMATS:
                return self._file(request, kind)
        answer = super().changelist_view(request, extra_context)
        listed = getattr(answer, "context_data", None)
        if listed and "cl" in listed:
            query = request.GET.copy()
            files = []
            for kind in FORMATS:
                query["export"] = kind
                files.append((kind.upper(), f"?{query.urlencode()}"))
            listed |= {"totals": self.totals(listed["cl"].queryset), "files": files, "empty_text": self.empty_text}
        return answer

    def _file(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        try:
            found: QuerySet[M] = self.get_changelist_instance(request).queryset
            rows = (self.export_row(row) for row in found.iterator(chunk_size=ROWS_AT_ONCE))
            return download(kind, str(self.model._meta.verbose_name_plural), self.export_columns, rows)
        except IncorrectLookupParameters:
            return redirect(request.path)
        except ValueError as error:
            messages.error(request, str(error))
            return redirect(f"{request.path}?{request.GET.urlencode()}")

    def totals(self, rows: QuerySet[Any]) -> list[dict[str, Any]]:
        """Add up all rows that match, not only those of the page; money of different kinds is never added."""
        if not self.totals_of:
            return []
        sums = {f"sum_{n}": Sum(what) for n, what in enumerate(self.totals_of.values())}
        groups = rows.order_by().values("account__currency", "account__demo", "account__broker")
        return _merged(groups.annotate(rows=Count("pk"), **sums), list(self.totals_of), self.gains)


def _merged(groups: Iterable[Mapping[str, Any]], titles: Sequence[str], gains: Sequence[str]) -> list[dict[str, Any]]:
    found: dict[tuple[str, Money], list[Any]] = {}
    for group in groups:
        is_paper = group["account__broker"] == BrokerKind.PAPER
        kind = Money.PAPER if is_paper else Money.DEMO if group["account__demo"] else Money.LIVE
        known = found.setdefault((group["account__currency"], kind), [0] * (len(titles) + 1))
        for place, value in enumerate((group["rows"], *(group[f"sum_{n}"] for n in range(len(titles))))):
            known[place] += value or 0
    return [
        {
            "currency": currency,
            "money": kind,
            "rows": count,
            "sums": [(t, money(s) if t in gains else amount(s)) for t, s in zip(titles, sums, strict=True)],
        }
        for (currency, kind), (count, *sums) in sorted(found.items())
    ]


def name_of(row: Model | None) -> str:
    """Return what a row is called in a file; nothing where there is none."""
    return "" if row is None else str(row)
