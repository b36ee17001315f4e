"""What watchdogs, Prometheus and Grafana read."""

import json
import re
from pathlib import Path

import pytest
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from engine.metrics import render
from engine.selectors import engine_performance
from engine.supervisor.host import HostMonitor
from tests.api.conftest import Api
from tests.world import World

ROOT = Path(__file__).resolve().parent.parent.parent
LINE = re.compile(r'[a-z_]+(\{([a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+\})? (-?[0-9.e+-]+|nan|inf)')


def test_metrics_are_well_formed_and_tell_what_the_page_tells(world: World) -> None:
    world.account.name = 'Sim "1"\\'
    world.account.save()
    world.ada.is_superuser = True
    world.bot()
    world.run(8)
    HostMonitor(world.state_file.parent, [], 2, clock=world.clock).look()
    found = engine_performance(world.ada, at=world.clock.now())
    text = render(found)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert "trading_engine_health 2.0" in lines, "no runner lives in a test"
    assert 'trading_account_up{account="Sim \\"1\\"\\\\"} 1.0' in lines
    p95 = found["accounts"][0]["jobs"]["orders"]["p95_ms"] / 1000
    assert any(f'job="orders",quantile="0.95"}} {p95!r}' in line for line in lines)
    assert sum(line.startswith("trading_host_") for line in lines) >= 3


def test_the_dashboard_shows_metrics_that_exist(world: World) -> None:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "trading-engine.json").read_text())
    text = render(engine_performance(world.ada, at=world.clock.now()))
    known = set(re.findall(r"# TYPE (\w+)", text))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"trading_\w+", target["expr"])
    }
    assert asked
    assert asked <= known
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_metrics_need_a_login_and_show_own_accounts(world: World) -> None:
    from datetime import timedelta

    from accounts.adminkit import CLOCK
    from accounts.tokens import create_token
    from core.ids import SystemIds

    client, at = Client(), CLOCK.now()
    assert client.get("/metrics").status_code == 401
    for person, sees in ((world.ben, True), (world.cem, False)):
        _, text = create_token(
            user=person, name="p", scope="read", expires_at=at + timedelta(1), ids=SystemIds(), at=at
        )
        headers = {"Authorization": f"Bearer {text}", "Accept": "application/openmetrics-text;version=1.0.0"}
        answer = client.get("/metrics", headers=headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert ('account="Sim"' in answer.content.decode()) == sees
    assert Api().get("trade-engine/status").status_code == 401


@pytest.mark.django_db
def test_ready_means_that_work_can_be_done(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/readyz").json() == {"ready": True, "database": "up"}
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: ["one"])
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["database"]) == (503, "schema behind")
