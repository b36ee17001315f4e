"""A static file finder for the one file that the charts need from a Python package."""

import importlib.util
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.files.storage import FileSystemStorage, Storage

NAME = "lightweight-charts.js"
PREFIX = "vendor/lightweight-charts"


@lru_cache(maxsize=1)
def script_folder() -> Path:
    """Give the folder of the charting script in the package that ships it unchanged."""
    spec = importlib.util.find_spec("litecharts")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("litecharts is not installed: run `make install`")
    return Path(spec.origin).parent / "js"


class LightweightChartsFinder(BaseFinder):
    """Yield `vendor/lightweight-charts/lightweight-charts.js` and nothing else of the package's folder."""

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        """Give the script's path when it is what was asked for."""
        wanted = path.replace("\\", "/") == f"{PREFIX}/{NAME}"
        found = str(script_folder() / NAME)
        if not wanted:
            return []  # how Django's finders say "not here", also to who wants one path
        return [found] if find_all or kwargs.get("all") else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        """Give the script with a storage that puts it under its prefix."""
        del ignore_patterns
        storage = FileSystemStorage(location=script_folder())
        vars(storage)["prefix"] = PREFIX  # where Django's own finders put it
        yield NAME, storage
