"""Named points of the money path at which a rehearsal may let the process vanish, pause, or lose the database.

Every fenced write passes two of them, before and after its commit; the send path has some of its own. Production sets
no hook, and a point costs one comparison.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Hook = Callable[[str], None]
_hook: Hook | None = None


def reached(name: str) -> None:
    """Tell a rehearsal, if there is one, that the point `name` was reached; whatever it raises comes out here."""
    if _hook is not None:
        _hook(name)


def is_rehearsed() -> bool:
    """Tell whether somebody listens, so that names need not be made for nobody."""
    return _hook is not None


def caller_name(depth: int) -> str:
    """Name the function `depth` frames above the caller, as `module.function`."""
    frame = sys._getframe(depth + 1)
    return f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}"


@contextmanager
def rehearsed(hook: Hook) -> Iterator[None]:
    """Let `hook` hear of every point until the block ends."""
    global _hook
    before, _hook = _hook, hook
    try:
        yield
    finally:
        _hook = before
