"""The fixture that lets a test's own processes work on the test's database."""

import subprocess
import sys

import pytest

from accounts.models import TradingAccount
from tests.tradingsite.test_checks import ROOT


@pytest.mark.processes
def test_another_process_sees_what_the_test_stored(site_environment: dict[str, str]) -> None:
    TradingAccount.objects.create(name="Seen", login=7, server="Broker-Demo")
    code = "from accounts.models import TradingAccount; print(TradingAccount.objects.get().name)"
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", code],
        cwd=ROOT, env=site_environment, text=True, capture_output=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.stdout == "Seen\n", done.stderr
