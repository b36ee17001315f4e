"""The desk's pages: what they show, to whom, how many queries they take, and what their dialogs do."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from accounts.models import AccountRole
from events.models import AuditEntry
from reconciliation.models import Claim, Divergence, DivergenceStep, PolicyRule, SavedFilter
from tests.reconciliation.test_pass import by_hand, check, held, opened
from tests.world import World

__all__ = ["held"]
LIST = "admin:reconciliation_divergence_changelist"
CONFIRMED = {"_form_submitted": "1"}
QUERIES_MAX = 20


def client_of(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def stops(held: World) -> Divergence:
    by_hand(held, action=6, position=held.open_orders()[0].ticket, sl=1.05)
    check(held)
    return opened(held, "stop_loss")


def act(world: World, row: Divergence, action: str, **fields: Any) -> str:
    """Confirm a dialog as Ada; return what it shows when it was refused."""
    url = reverse(f"admin:reconciliation_divergence_{action}", args=(row.pk,))
    answer = client_of(world.ada).post(url, {**CONFIRMED, "why": "agreed", **fields})
    assert answer.status_code == 200
    return "" if "HX-Redirect" in answer.headers else answer.content.decode()


def test_the_list_shows_both_sides_with_what_differs_marked(held: World, stops: Divergence) -> None:
    text = client_of(held.ada).get(reverse(LIST)).content.decode()
    assert '<span class="recon-diff">SL 1.05</span>' in text
    assert '<span class="recon-diff">SL –</span>' in text
    assert 'data-key="a"' in text
    seen_by_ben = client_of(held.ben).get(reverse(LIST)).content.decode()
    assert "SL 1.05" in seen_by_ben
    assert "data-key" not in seen_by_ben, "who may only look has no buttons"
    assert client_of(held.cem).get(reverse(LIST)).status_code == 403


def test_a_dialog_shows_what_will_happen_before_it_asks(held: World, stops: Divergence) -> None:
    for action, told in (
        ("accept_ours", "asks the broker once to set SL none"),
        ("accept_broker", "Nothing is sent."),
        ("ignore", "comes back if it still lasts"),
    ):
        url = reverse(f"admin:reconciliation_divergence_{action}", args=(stops.pk,))
        assert told in client_of(held.ada).get(url).content.decode(), action
    assert not DivergenceStep.objects.exists()


def test_each_action_needs_a_reason_and_leaves_a_step_and_an_audit_entry(held: World, stops: Divergence) -> None:
    assert "This field is required" in act(held, stops, "accept_broker", why="")
    assert act(held, stops, "note", why="asked the broker") == ""
    assert act(held, stops, "assign", assignee=held.ben.pk) == ""
    assert act(held, stops, "ignore", hours="4") == ""
    assert act(held, stops, "undo") == ""
    assert act(held, stops, "accept_broker") == ""
    actions = list(DivergenceStep.objects.values_list("action", flat=True))
    assert actions == ["note", "assign", "ignore", "undo", "accept_broker"]
    kept = AuditEntry.objects.filter(subject=f"divergence {stops.pk}")
    assert [e.actor_id for e in kept] == [held.ada.pk] * 5
    stops.refresh_from_db()
    assert (stops.closed_how, stops.assignee) == ("accepted", held.ben)
    assert "closed already" in act(held, stops, "ignore", hours="1")
    page = client_of(held.ada).get(reverse("admin:reconciliation_divergence_change", args=(stops.pk,)))
    assert "asked the broker" in page.content.decode()


def test_a_viewer_settles_nothing(held: World, stops: Divergence) -> None:
    url = reverse("admin:reconciliation_divergence_accept_broker", args=(stops.pk,))
    assert client_of(held.ben).post(url, {**CONFIRMED, "why": "x"}).status_code == 403
    assert client_of(held.cem).post(url, {**CONFIRMED, "why": "x"}).status_code == 404
    stops.refresh_from_db()
    assert stops.state == "open"


def test_a_position_is_adopted_from_the_desk_shown_apart_before_and_released_from_its_claim(held: World) -> None:
    by_hand(held, action=1, volume=0.2, type=0)
    check(held)
    row, cycle = opened(held, "unmatched"), held.cycles("open")[0]
    ada = client_of(held.ada)
    apart = reverse("admin:reconciliation_manualposition_changelist")
    assert f"#{row.ticket}" in ada.get(apart).content.decode()
    assert "required" in act(held, row, "adopt", cycle="")
    assert act(held, row, "adopt", cycle=cycle.pk) == ""
    assert f"#{row.ticket}" not in ada.get(apart).content.decode()
    claim = Claim.objects.get()
    assert (claim.by, claim.divergence) == (held.ada, row)
    release = reverse("admin:reconciliation_claim_release", args=(claim.pk,))
    assert "stays open at the broker" in ada.get(release).content.decode()
    ada.post(release, {**CONFIRMED, "why": "mine after all"})
    claim.refresh_from_db()
    assert (claim.released_by, claim.released_why) == (held.ada, "mine after all")


def test_the_empty_desk_tells_the_last_check(held: World) -> None:
    held.run(2)
    text = client_of(held.ada).get(reverse(LIST)).content.decode()
    assert "Books and broker agree" in text
    assert "Last check 2026-03-03 09:00:" in text


def test_the_count_is_of_ones_own_accounts(held: World, stops: Divergence) -> None:
    url = reverse("admin:reconciliation_divergence_count")
    assert client_of(held.ben).get(url).json() == {"open": 1, "critical": 0}
    assert client_of(held.cem).get(url).json() == {"open": 0, "critical": 0}
    assert "data-divergences" in client_of(held.ben).get(reverse("admin:index")).content.decode()


def test_filters_are_saved_for_oneself_and_removed(held: World, stops: Divergence) -> None:
    ada = client_of(held.ada)
    save = reverse("admin:reconciliation_divergence_save_filter")
    page = "http://testserver" + reverse(LIST) + "?severity__exact=2&state=all"
    ada.post(save, {**CONFIRMED, "name": "Warnings"}, headers={"HX-Current-URL": page})
    assert SavedFilter.objects.get().query == "severity__exact=2&state=all"
    assert "Warnings" in ada.get(reverse(LIST)).content.decode()
    assert "Warnings" not in client_of(held.ben).get(reverse(LIST)).content.decode()
    drop = reverse("admin:reconciliation_divergence_drop_filter")
    assert "You have no filter" in ada.post(drop, {**CONFIRMED, "name": "Errors"}).content.decode()
    ada.post(drop, {**CONFIRMED, "name": "Warnings"})
    assert not SavedFilter.objects.exists()


def test_a_policy_without_a_meaning_for_its_kind_is_refused(held: World) -> None:
    AccountRole.objects.filter(user=held.ada).update(role="manager")
    url = reverse("admin:reconciliation_policyrule_add")
    values = {"account": held.account.pk, "kind": "missing_broker", "policy": "mirror"}
    assert "choose one of: Tell people, Ignore" in client_of(held.ada).post(url, values).content.decode()
    everywhere = {"account": "", "kind": "stop_loss", "policy": "mirror"}
    client_of(held.ada).post(url, everywhere)
    assert not PolicyRule.objects.exists(), "a rule for all accounts is for superusers"
    client_of(held.ada).post(url, {**values, "kind": "stop_loss"})
    assert PolicyRule.objects.get().account == held.account


@pytest.mark.parametrize("query", ["", "?state=all", "?state=closed&o=-7", "?q=700", "?severity__exact=3"])
def test_a_hundred_thousand_rows_take_a_bounded_number_of_queries(
    db: None, django_assert_max_num_queries: Callable[..., Any], query: str
) -> None:
    from accounts.models import TradingAccount, User

    root = User.objects.create_superuser("root", password="x")
    account = TradingAccount.objects.create(name="Big", login=1, server="S")
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO reconciliation_divergence (account_id, kind, key, mark, severity, state, identifier, ticket,
                symbol, rule, measured, threshold, ours, theirs, suggestion, policy, automatic, opened_at, updated_at,
                closed_at, closed_how, closed_why)
            SELECT %s, 'stop_loss', 'stop_loss:' || n, '1', 1 + n %% 3,
                CASE WHEN n %% 100 = 0 THEN 'open' ELSE 'closed' END,
                n, n, 'EURUSD', 'stop loss differs', 1, 1, '{"sl": 1.0}', '{"sl": 1.1}', '{}', 'alert', 'none',
                now() - n * interval '1 second', now(), CASE WHEN n %% 100 = 0 THEN NULL ELSE now() END,
                CASE WHEN n %% 100 = 0 THEN '' ELSE 'gone' END, ''
            FROM generate_series(1, 100000) AS n
            """,
            [account.pk],
        )
        cursor.execute("ANALYZE reconciliation_divergence")
    client = client_of(root)
    client.get(reverse(LIST))
    with django_assert_max_num_queries(QUERIES_MAX):
        answer = client.get(reverse(LIST) + query)
    assert answer.status_code == 200
    assert len(answer.context["cl"].result_list) == (1 if "700" in query else 50)
