"""Our symbol names and the broker's: EURUSD may be EURUSD.r, EURUSDm or #EURUSD there."""

import re
from collections.abc import Mapping, Sequence

from brokers.gateway import SymbolError


class SymbolMap:
    """Finds the broker's name of a symbol, and ours of a broker's. Given names win over found ones."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._theirs = {ours: theirs for ours, theirs in given.items() if theirs}
        self._ours = {theirs: ours for ours, theirs in self._theirs.items()}

    def theirs(self, ours: str, names: Sequence[str]) -> str:
        """Return the broker's name. Raises SymbolError when none or several could be meant."""
        known = self._theirs.get(ours)
        if known is not None and known in names:
            return known
        if known is not None:
            raise SymbolError(f"The broker has no symbol {known} (for {ours}).", "Correct the symbol's broker name.")
        found = candidates(ours, names)
        if not found:
            raise SymbolError(
                f"The broker has no symbol like {ours}.", "Check its name in the terminal's Market Watch."
            )
        if len(found) > 1:
            raise SymbolError(
                f"{ours} could be {', '.join(found)}.", "Set the symbol's broker name to the one to trade."
            )
        self.learn(ours, found[0])
        return found[0]

    def learn(self, ours: str, theirs: str) -> None:
        """Keep a pair that is known from elsewhere."""
        self._theirs[ours] = theirs
        self._ours[theirs] = ours

    @property
    def named(self) -> tuple[str, ...]:
        """The broker's names that are known so far."""
        return tuple(self._ours)

    def ours(self, theirs: str) -> str:
        """Return our name of a broker's symbol; its own when we have none."""
        return self._ours.get(theirs, theirs)


def candidates(ours: str, names: Sequence[str]) -> list[str]:
    """Return the exact name if the broker has it, else its names with a short prefix or suffix around ours."""
    if ours in names:
        return [ours]
    pattern = re.compile(rf"[#._-]?{re.escape(ours)}(?:[._#-]?\w{{0,6}})?[.+#-]?", re.IGNORECASE)
    return sorted(name for name in names if pattern.fullmatch(name))
