"""Functions that numba compiles when one of them is called: it takes 90 MB, which an idle runner can do without."""

import sys
from collections.abc import Callable
from typing import Any


class Kernel:
    """A function of plain loops and numbers. Calling it puts compiled ones in the place of all kernels of its module.

    All at once, because kernels call each other, and compiled code calls only what is compiled.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        self.options = options

    def __call__(self, *args: Any) -> Any:
        return self._compiled()(*args)

    def _compiled(self) -> Callable[..., Any]:
        from numba import njit

        names = vars(sys.modules[self.function.__module__])
        for name, value in list(names.items()):
            if isinstance(value, Kernel):
                names[name] = njit(**value.options)(value.function)
        made: Callable[..., Any] = names[self.function.__name__]
        return made


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Kernel]:
    """Mark a function as a kernel, with numba's options; what was compiled once is kept on disk beside its module."""
    return lambda function: Kernel(function, {"cache": True, **options})
