"""Chromium for the tests that look at pages: the system's own, because nothing may be downloaded while testing."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "sudo apt-get install --no-install-recommends chromium fonts-liberation"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


def find_browser() -> str | None:
    """Give the path of Chromium: the one that TRADING_TEST_BROWSER names, else the system's; None without one."""
    named = os.environ.get("TRADING_TEST_BROWSER")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)
