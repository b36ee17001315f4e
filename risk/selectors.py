"""Named reads of blocks."""

from risk.models import Block


def standing_blocks(account_id: int) -> tuple[tuple[int | None, str, str], ...]:
    """Read the blocks that stand on an account: (bot or None for all, cause, reason)."""
    rows = Block.objects.filter(account_id=account_id, lifted_at__isnull=True).order_by("id")
    return tuple(rows.values_list("bot_id", "cause", "reason"))
