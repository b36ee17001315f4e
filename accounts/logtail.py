"""The last lines of the log that are about one account, for its page."""

import json
from collections import deque
from pathlib import Path
from typing import Any

LINES = 50
BYTES_MAX = 2_000_000


def last_lines(file: Path, account_id: int, count: int = LINES) -> list[dict[str, Any]]:
    """Return the newest lines about an account, the oldest first; [] without a file.

    At most the last 2 MB are read, and what was rotated away is not: for more there is the file.
    """
    found: deque[dict[str, Any]] = deque(maxlen=count)
    try:
        with file.open("rb") as lines:
            size = lines.seek(0, 2)
            lines.seek(max(0, size - BYTES_MAX))
            text = lines.read()
    except OSError:
        return []
    for raw in text.splitlines():
        if b'"account"' not in raw:
            continue
        try:
            line = json.loads(raw)
        except ValueError:  # the cut first line, or one that is being written
            continue
        if isinstance(line, dict) and line.get("account") == account_id:
            found.append(line)
    return list(found)
