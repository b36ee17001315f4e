"""Named writes of Telegram: chats that may ask, and each update carried out once."""

import hmac
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import TradingAccount, User
from accounts.permissions import accounts_of
from core.clock import Clock
from core.ids import Ids
from engine.coordinator import Instruction, coordinate
from events.audit import name_of, record_change
from events.origin import Origin, coming_from
from risk.models import KillSwitch
from risk.services.killing import kill
from telegram.domain import (
    CHANGES,
    CODE,
    CODE_LASTS,
    CODE_LENGTH,
    CODE_TRIES,
    HELP,
    READS,
    Message,
    Request,
    message_of,
    request_of,
    update_number,
)
from telegram.models import Bookmark, Chat, Pending
from telegram.replies import reply_to

VIA = "telegram"
DONE = {"pause": "is paused", "resume": "goes on", "drain": "drains", "halt": "is halted"}


@transaction.atomic
def link_chat(*, user: User, name: str, chat_id: int, at: datetime) -> Chat:
    """Let a chat ask with a person's rights. Raises ValidationError, also when the chat is somebody's already."""
    chat = Chat(user=user, name=name, chat_id=chat_id, created_at=at)
    chat.full_clean(validate_unique=False)
    try:
        with transaction.atomic():
            chat.save()
    except IntegrityError:
        raise ValidationError({"chat_id": "This chat is linked already; remove it there first."}) from None
    _tell(chat, f"The Telegram chat {name} may ask for {name_of(user)}", user, at)
    return chat


@transaction.atomic
def unlink_chat(*, chat: Chat, by: User, at: datetime) -> None:
    """Answer a chat no more."""
    _tell(chat, f"The Telegram chat {chat.name} may ask no more, by {name_of(by)}", by, at)
    chat.delete()


def _tell(chat: Chat, text: str, by: User, at: datetime) -> None:
    record_change(kind="TELEGRAM_CHAT", text=text, subject=f"user {chat.user_id}", by=by, at=at)


def pass_over(raw: Any, *, bot: str) -> None:
    """Never look at an update again that can't be carried out."""
    number = update_number(raw)
    if number is not None:
        Bookmark.objects.filter(bot=bot, next_update__lte=number).update(next_update=number + 1)


@transaction.atomic
def take_update(raw: Any, *, bot: str, clock: Clock, ids: Ids) -> tuple[int, str] | None:
    """Carry an update out, once however often the server sends it; return chat and answer, None where none is due.

    The bookmark moves in the same transaction: a process that dies in between leaves neither.
    """
    number = update_number(raw)
    if number is None:
        return None
    Bookmark.objects.get_or_create(bot=bot)
    mark = Bookmark.objects.select_for_update().get(bot=bot)
    if number < mark.next_update:
        return None
    Bookmark.objects.filter(bot=bot).update(next_update=number + 1)
    message = message_of(raw)
    if message is None:
        return None
    with coming_from(Origin(VIA, request_id=f"update {number}")):
        text = _answer(message, clock, ids)
    return None if text is None else (message.chat_id, text)


def _answer(message: Message, clock: Clock, ids: Ids) -> str | None:
    at = clock.now()
    chat = Chat.objects.select_related("user").filter(chat_id=message.chat_id, is_active=True).first()
    if chat is None or not chat.user.is_active:
        # Who opens the chat learns the number to link; nobody else gets an answer
        asked = request_of(message.text)
        is_first = asked is not None and asked.name == "start"
        return (
            f"This chat's number is {message.chat_id}. Link it in the desk under Telegram chats." if is_first else None
        )
    Chat.objects.filter(pk=chat.pk).update(heard_at=at)
    asked = request_of(message.text)
    if asked is None:
        return _confirm(chat, message.text.lower(), at)
    if asked.name in READS:
        return reply_to(asked.name, chat.user, at=at)
    if asked.name in CHANGES:
        return _propose(chat, asked, at, ids)
    return HELP


def _propose(chat: Chat, asked: Request, at: datetime, ids: Ids) -> str:
    accounts = accounts_of(chat.user, "trader").order_by("name")
    if asked.about:
        accounts = accounts.filter(name=asked.about)
    found = list(accounts)
    if not found:
        known = ", ".join(accounts_of(chat.user, "trader").order_by("name").values_list("name", flat=True)[:20])
        return (
            f"You trade no account {asked.about!r}; you trade {known or 'none'}." if asked.about else "You trade none."
        )
    code = ids.token(CODE_LENGTH)
    Pending.objects.update_or_create(
        chat=chat,
        defaults={
            "command": asked.name, "accounts": [account.pk for account in found], "code": code, "tries": 0,
            "expires_at": at + CODE_LASTS,
        },
    )  # fmt: skip
    names = ", ".join(account.name for account in found)
    return f"{asked.name.capitalize()} {names}? Answer {code} within {CODE_LASTS.seconds} s. Anything else: nothing."


def _confirm(chat: Chat, text: str, at: datetime) -> str:
    pending = Pending.objects.select_for_update().filter(chat=chat).first()
    if pending is None:
        return HELP
    if at >= pending.expires_at:
        pending.delete()
        return "The time for the code is over; nothing was done."
    if not CODE.fullmatch(text) or not hmac.compare_digest(text, pending.code):
        pending.tries += 1
        if pending.tries >= CODE_TRIES:
            pending.delete()
            return "That was not the code. Nothing was done; ask again."
        pending.save(update_fields=["tries"])
        return "That is not the code. Nothing was done."
    pending.delete()
    # Roles may have gone since the question
    accounts = list(accounts_of(chat.user, "trader").filter(pk__in=pending.accounts).order_by("pk"))
    try:
        with transaction.atomic():
            return _carry_out(pending.command, accounts, chat.user, at)
    except ValidationError as problem:
        return f"Nothing was done: {' '.join(problem.messages)}"


def _carry_out(command: str, accounts: list[TradingAccount], user: User, at: datetime) -> str:
    if not accounts:
        return "Nothing was done: you trade none of them any more."
    if command == "halt":
        for account in accounts:
            kill(
                mode=KillSwitch.Mode.EXITS_ONLY, reason="halted by Telegram", confirmation=account.name,
                account=account, by=user, at=at,
            )  # fmt: skip
        return "\n".join(f"{account.name} is halted: exits only, until the desk releases it." for account in accounts)
    done = coordinate(instruction=Instruction(command), accounts=accounts, by=user, at=at)
    return "\n".join(
        f"{one.account.name} {DONE[command]}." if one.changed else f"{one.account.name}: nothing to change."
        for one in done
    )
