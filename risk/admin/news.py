"""Admin of the news calendar; people paste a CSV or iCal file here, or run `manage.py newscalendar FILE`."""

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter, FieldTextFilter, RangeDateTimeFilter
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.adminkit import CLOCK, DialogForm, FactAdmin, person, post_dialog
from risk.models import NewsEvent
from risk.services.news import CALENDAR_LENGTH_MAX, import_calendar


class CalendarDialog(DialogForm):
    """Takes the text of a calendar."""

    text = forms.CharField(
        label="Calendar",
        max_length=CALENDAR_LENGTH_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        help_text="CSV with the header time,currency,impact,title (times in UTC), or an iCal file.",
    )


@admin.register(NewsEvent)
class NewsAdmin(FactAdmin[NewsEvent]):
    account_path = None
    list_display = ("at", "currency", "impact", "title")
    list_filter = (("currency", FieldTextFilter), ("impact", ChoicesDropdownFilter), ("at", RangeDateTimeFilter))
    search_fields = ("title",)
    ordering = ("-at",)
    actions_list = ("take",)

    @post_dialog(
        label="Import a calendar",
        question="Events that are known already stay as they are.",
        button="Import",
        path="import",
        icon="calendar_add_on",
        form=CalendarDialog,
    )
    def take(self, request: HttpRequest, row: None, text: str) -> str:
        new = import_calendar(text=text, by=person(request), at=CLOCK.now())
        return f"{new} new event{'' if new == 1 else 's'}."
