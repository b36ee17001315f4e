"""Admin of Telegram chats: everyone links their own, superusers see all."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextInputWidget

from accounts.admincells import NOTHING, moment
from accounts.adminkit import CLOCK, DialogForm, display, person, post_dialog
from accounts.adminown import OwnAdmin
from accounts.numberfields import StrictIntegerField
from telegram.domain import NUMBER_MAX
from telegram.models import Chat
from telegram.services import link_chat, unlink_chat


class ChatDialog(DialogForm):
    name = forms.CharField(max_length=60, widget=UnfoldAdminTextInputWidget, help_text="Whose telephone it is.")
    chat_id = StrictIntegerField(
        label="Number of the chat", min_value=1, max_value=NUMBER_MAX, widget=UnfoldAdminIntegerFieldWidget,
        help_text="Send /start to the desk's bot: it answers with this number.",
    )  # fmt: skip


@admin.register(Chat)
class ChatAdmin(OwnAdmin):
    owner = "user"
    list_display = ("name", "chat_id", "user", "made", "heard")
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    ordering = ("user__username", "name")
    fields = ("name", "chat_id", "user", "made", "heard")
    readonly_fields = ("made", "heard")
    actions_list = ("link",)
    actions_detail = ("unlink",)

    @display(description="Linked (UTC)", ordering="created_at")
    def made(self, chat: Chat) -> str:
        return moment(chat.created_at)

    @display(description="Last heard (UTC)", ordering="heard_at")
    def heard(self, chat: Chat) -> str:
        return NOTHING if chat.heard_at is None else moment(chat.heard_at)

    @post_dialog(
        label="Link a chat",
        question="Whoever writes in that chat asks with your rights. What changes something asks for a code first.",
        button="Link it",
        path="link",
        role="viewer",
        icon="add_link",
        form=ChatDialog,
        is_dangerous=True,
    )
    def link(self, request: HttpRequest, row: None, name: str, chat_id: int) -> str:
        link_chat(user=person(request), name=name, chat_id=chat_id, at=CLOCK.now())
        return "The chat is linked."

    @post_dialog(
        label="Unlink",
        question="The chat is answered no more.",
        button="Unlink it",
        path="unlink",
        role="viewer",
        icon="link_off",
    )
    def unlink(self, request: HttpRequest, chat: Any) -> str:
        unlink_chat(chat=chat, by=person(request), at=CLOCK.now())
        return "The chat is unlinked."
