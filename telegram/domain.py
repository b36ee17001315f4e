"""What a Telegram message asks for. No Django, no I/O; whatever the server sends is read without trust."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

READS = ("status", "profit", "bots", "cycles", "divergences")
CHANGES = ("pause", "resume", "drain", "halt")
HELP = (
    "/status /profit /bots /cycles /divergences: how things stand.\n"
    "/pause /resume /drain /halt, with the name of an account or for all that you trade: they ask for a code first."
)
COMMAND = re.compile(r"/([a-z]{1,20})(?:@\w{1,64})?(?:\s+(\S.*))?", re.ASCII | re.IGNORECASE)
CODE = re.compile(r"[0-9a-z]{6}")
CODE_LENGTH = 6
CODE_LASTS = timedelta(seconds=60)
CODE_TRIES = 3
# Telegram takes 4,096 characters a message
TEXT_MAX = 4_000
NUMBER_MAX = 2**53


@dataclass(frozen=True, slots=True)
class Message:
    """A text of one person in a chat with nobody else."""

    chat_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Request:
    """A command and what it is about ("": all)."""

    name: str
    about: str = ""


def update_number(raw: Any) -> int | None:
    """Return an update's number; None for what is none."""
    number = raw.get("update_id") if isinstance(raw, dict) else None
    return number if type(number) is int and 0 <= number < NUMBER_MAX else None


def message_of(raw: Any) -> Message | None:
    """Return the message of an update; None for anything but a new text in a private chat, written by its person."""
    message = raw.get("message") if isinstance(raw, dict) else None
    if not isinstance(message, dict):
        return None
    chat, sender, text = message.get("chat"), message.get("from"), message.get("text")
    if not isinstance(chat, dict) or not isinstance(sender, dict) or not isinstance(text, str):
        return None
    number = chat.get("id")
    if type(number) is not int or not 0 < number < NUMBER_MAX or chat.get("type") != "private":
        return None
    if sender.get("id") != number or sender.get("is_bot") or "forward_origin" in message:
        return None
    return Message(number, text[:TEXT_MAX].replace("\0", "").strip())


def request_of(text: str) -> Request | None:
    """Return what a text asks for; None when it is no command."""
    found = COMMAND.fullmatch(text)
    return None if found is None else Request(found[1].lower(), (found[2] or "").strip())


def shortened(lines: list[str]) -> str:
    """Join lines to a text that Telegram takes, and say how many were left out."""
    text = "\n".join(lines)
    if len(text) <= TEXT_MAX:
        return text
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(kept) + len(line) > TEXT_MAX - 40:
            break
        kept.append(line)
    return "\n".join([*kept, f"… and {len(lines) - len(kept)} more lines"])
