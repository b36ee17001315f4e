"""Raise and lift blocks. A block says who forbids entries on what and why; nothing else needs to know who objects."""

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from events import live
from events.services import record
from risk.models import Block

GUARD = "guard"
# How the causes of blocks begin that a restart policy raised
RESTART = "restart"


def _standing(account_id: int, bot_id: int | None, cause: str, symbol: str) -> Q:
    bot = Q(bot__isnull=True) if bot_id is None else Q(bot_id=bot_id)
    return bot & Q(account_id=account_id, cause=cause, symbol=symbol, lifted_at__isnull=True)


@transaction.atomic
def raise_block(
    *,
    account_id: int,
    cause: str,
    reason: str,
    at: datetime,
    bot_id: int | None = None,
    symbol: str = "",
    by_id: int | None = None,
    level: str = "warning",
) -> Block:
    """Forbid entries on an account, one bot or one symbol; the same cause raised twice is one block.

    `level` is its event's.
    """
    standing = _standing(account_id, bot_id, cause, symbol)
    block, created = Block.objects.filter(standing).get_or_create(
        defaults={
            "account_id": account_id,
            "bot_id": bot_id,
            "symbol": symbol,
            "cause": cause,
            "reason": reason[:300],
            "raised_at": at,
            "raised_by_id": by_id,
        }
    )
    if created:
        record(
            kind="BLOCK_RAISED",
            level=level,
            text=f"No new entries ({cause}): {reason}"[:500],
            account_id=account_id,
            bot_id=bot_id,
            at=at,
        )
        live.publish(account_id, "state", {"block": cause})
    return block


@transaction.atomic
def lift_block(*, block_id: int, why: str, at: datetime, by_id: int | None = None, level: str = "info") -> bool:
    """Lift a block; returns False when it was lifted before.

    Raises:
        ValidationError: A person wants to lift a guard's block, which would leave its alarm without effect.
    """
    if by_id is not None and Block.objects.filter(pk=block_id, cause__startswith=f"{GUARD} ").exists():
        raise ValidationError("A guard holds this block: re-arm its alarm instead, or wait until it ends.")
    won = Block.objects.filter(pk=block_id, lifted_at__isnull=True).update(
        lifted_at=at, lifted_by_id=by_id, lifted_why=why[:300]
    )
    if won:
        block = Block.objects.get(pk=block_id)
        record(
            kind="BLOCK_LIFTED",
            level=level,
            text=f"Entries allowed again ({block.cause}): {why}"[:500],
            account_id=block.account_id,
            bot_id=block.bot_id,
            at=at,
        )
        live.publish(block.account_id, "state", {"lifted": block.cause})
    return bool(won)


def lift_cause(
    *,
    account_id: int,
    cause: str,
    why: str,
    at: datetime,
    bot_id: int | None = None,
    symbol: str = "",
    level: str = "info",
) -> bool:
    """Lift the standing block of a cause, if there is one."""
    block = Block.objects.filter(_standing(account_id, bot_id, cause, symbol)).first()
    return block is not None and lift_block(block_id=block.pk, why=why, at=at, level=level)
