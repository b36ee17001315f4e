"""The page of a cycle: what its chart draws, from what the engine wrote down."""

import pytest
from django.test import Client
from django.urls import reverse

from cycles.admin.page import zone_of
from tests.world import World


def test_an_open_cycle_shows_what_is_to_come_and_a_closed_one_its_life(world: World) -> None:
    world.bot(max_levels=4)
    world.run(12)
    (cycle,) = world.cycles("open")
    client = Client()
    client.force_login(world.ben)
    page = client.get(reverse("admin:cycles_cycle_change", args=(cycle.pk,)))
    chart = page.context["chart"]
    lines = {line["title"]: line for line in chart["lines"]}
    entry = chart["fills"][0]["price"]
    assert lines["level 1: buy 0.10"]["price"] == pytest.approx(entry - 0.0010, abs=1e-9)
    assert lines["level 3: buy 0.10"]["price"] == pytest.approx(entry - 0.0030, abs=1e-9)
    # 10 of profit are 10 pips of 0.1 lot, and the commission
    assert lines["target"]["price"] == pytest.approx(entry + 0.0010, abs=0.0002)
    assert [line["kind"] for line in chart["lines"]].count("worst") == 1
    order = cycle.orders.get()
    text = page.content.decode()
    assert reverse("admin:orders_orderintent_change", args=(order.intent_id,)) in text
    assert f'data-leg="{order.pk}"' in text

    world.move(30)
    world.run(5)
    closed = world.cycles("closed")[0]
    page = client.get(reverse("admin:cycles_cycle_change", args=(closed.pk,)))
    assert [fill["kind"] for fill in page.context["chart"]["fills"]] == ["entry", "exit"]
    assert page.context["chart"]["lines"] == []
    client.force_login(world.cem)
    assert client.get(reverse("admin:cycles_cycle_change", args=(closed.pk,))).status_code == 404


def test_a_zone_has_two_edges(world: World) -> None:
    world.bot()
    world.run(3)
    (cycle,) = world.cycles("open")
    assert zone_of(cycle) == []
    cycle.memory = {"zone": 0.0020, "anchor": 1.1000, "exit": 0.0040}
    assert [line["price"] for line in zone_of(cycle)] == [1.1, pytest.approx(1.098)]
