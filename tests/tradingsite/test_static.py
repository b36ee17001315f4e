"""Static files: served without collecting them, the charting script among them, and nothing else of its package."""

import hashlib
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tradingsite.staticfinders import NAME, PREFIX, LightweightChartsFinder

# lightweight-charts 5.1.0, standalone production build
SCRIPT_SHA256_START, SCRIPT_SHA256_END = "756b0ba9", "0b52"


def body(client: Client, path: str) -> bytes:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.getvalue()


def test_the_charting_script_is_the_one_we_know(client: Client) -> None:
    digest = hashlib.sha256(body(client, f"/static/{PREFIX}/{NAME}")).hexdigest()
    assert digest.startswith(SCRIPT_SHA256_START)
    assert digest.endswith(SCRIPT_SHA256_END)


def test_nothing_else_of_its_package_is_served() -> None:
    assert [name for name, _ in LightweightChartsFinder().list(None)] == [NAME]
    assert not finders.find(f"{PREFIX}/__init__.py")


def test_the_admin_finds_its_styles(client: Client) -> None:
    assert b"{" in body(client, "/static/unfold/css/styles.css")


@pytest.mark.processes
def test_production_collects_everything(tmp_path: Path) -> None:
    from tests.tradingsite.test_checks import manage, production

    heavy = ("-i", "drf_spectacular_sidecar", "-i", "unfold", "-i", "admin")  # compressing them takes 20 s
    done = manage("collectstatic", "--noinput", *heavy, **production(tmp_path))
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "static" / PREFIX).glob("lightweight-charts.*.js.br"))
