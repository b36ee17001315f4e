"""The journal of what already left: intents handed to an account's broker, in a file that outlives the database."""

import os
from pathlib import Path


class SendJournal:
    """The tokens of all intents handed to one account's broker.

    A database restored from yesterday's backup must not send again what left since (fault F37).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._tokens = set(path.read_text("ascii").split()) if path.exists() else set()

    def __contains__(self, token: str) -> bool:
        return token in self._tokens

    def add(self, token: str) -> None:
        """Write a token down durably, before its request leaves."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{token}\n")
            file.flush()
            os.fsync(file.fileno())
        self._tokens.add(token)
