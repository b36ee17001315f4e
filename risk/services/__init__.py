"""Named writes of the risk package."""

from risk.services.blocks import lift_block, lift_cause, raise_block

__all__ = ["lift_block", "lift_cause", "raise_block"]
