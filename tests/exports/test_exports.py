"""Files that leave the site: right to the cent, for those who may read them, small ones at once, large ones as jobs."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.test import Client
from django_q.models import OrmQ, Schedule
from hypothesis import given
from hypothesis import strategies as st

from accounts.adminkit import CLOCK
from accounts.models import AccountRole, AccountSnapshot
from core.clock import VirtualClock
from events.models import AuditEntry
from exports import services, tasks
from exports.domain import ZERO, LedgerLine, statement_rows
from exports.models import Export, ExportPart
from orders.models import Deal
from tests.admin.conftest import AT, Desk
from tests.api.conftest import Api

Ask = Callable[..., Api]
BAD = '=HYPERLINK("http://example.com";"x")'


def deal(desk: Desk, ticket: int, minutes: int, **fields: Any) -> None:
    amounts = {"profit": 0, "swap": 0, "commission": 0, "fee": 0}
    Deal.objects.create(
        account=desk.account, ticket=ticket, order_ticket=ticket, position_id=ticket, reason="expert", price=1,
        at=AT + timedelta(minutes=minutes),
        **{**amounts, "symbol": "EURUSD", "volume": Decimal("0.1"), "kind": "sell", "entry": "out", **fields},
    )  # fmt: skip


@pytest.fixture
def ledger(desk: Desk) -> Desk:
    """A deposit before the day, and three deals on it."""
    deal(desk, 1, -60, kind="balance", entry="in", symbol="", profit=Decimal("1000.00"), volume=0)
    deal(desk, 2, 1, profit=Decimal("12.30"), swap=Decimal("-0.30"))
    deal(desk, 3, 2, profit=Decimal("-7.25"), commission=Decimal("-0.50"), fee=Decimal("-0.01"), comment=BAD)
    return desk


def read(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def exported(asked: Api, desk: Desk, kind: str, filetype: str, **fields: Any) -> bytes:
    answer = asked.post("exports", {"account": desk.account.pk, "kind": kind, "format": filetype, **fields})
    assert (answer.status_code, answer.json()["status"]) == (201, "done"), answer.content
    fetched = asked.client.get(answer.json()["file"], headers=asked.headers)
    assert fetched.status_code == 200
    content = read(fetched)
    assert fetched.headers["Content-Length"] == str(len(content)) == str(answer.json()["size_bytes"])
    assert f'.{filetype}"' in fetched.headers["Content-Disposition"]
    return content


def test_a_statement_runs_from_the_balance_before_to_the_balance_after(ledger: Desk, api: Ask) -> None:
    text = exported(api("ben"), ledger, "statement", "csv", since="2026-03-02T10:00:30Z").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    opening, first, second, closing = rows
    assert (opening["kind"], opening["balance"]) == ("opening balance", "999.93"), "the deposit and 0.07 of commission"
    assert (first["amount"], first["balance"]) == ("12.00", "1011.93")
    assert (second["amount"], second["balance"]) == ("-7.76", "1004.17")
    assert (closing["kind"], closing["balance"]) == ("closing balance", "1004.17")
    whole = list(csv.DictReader(io.StringIO(exported(api("ben"), ledger, "statement", "csv").decode())))
    assert (whole[0]["balance"], whole[-1]["balance"]) == ("0", "1004.17")


def test_no_text_of_a_broker_becomes_a_formula(ledger: Desk, api: Ask) -> None:
    text = exported(api("ben"), ledger, "deals", "csv").decode()
    assert f"'{BAD}" in [row["comment"] for row in csv.DictReader(io.StringIO(text))]
    sheet = zipfile.ZipFile(io.BytesIO(exported(api("ben"), ledger, "deals", "xlsx")))
    cells = sheet.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in cells
    assert "<is><t>=HYPERLINK" in cells, "a text, as it was"


def test_json_says_what_it_is_of_and_keeps_every_digit(ledger: Desk, api: Ask) -> None:
    found = json.loads(exported(api("ben"), ledger, "deals", "json", until="2026-03-02T10:01:00Z"))
    assert (found["kind"], found["account"], found["currency"]) == ("deals", "Main", ledger.account.currency)
    assert [row["ticket"] for row in found["rows"]] == [1, 5002, 2]
    assert found["rows"][-1]["profit"] == "12.30"
    cycles = json.loads(exported(api("ben"), ledger, "cycles", "json"))["rows"]
    assert [(row["bot_name"], row["closed_at"]) for row in cycles] == [(ledger.bot.name, None)]
    assert json.loads(exported(api("ben"), ledger, "cycles", "json", since="2030-01-01T00:00:00Z"))["rows"] == []


@pytest.mark.parametrize("kind", ["equity", "statement"])
def test_charts_are_drawn_also_of_one_point_and_of_none(kind: str, ledger: Desk, api: Ask) -> None:
    from PIL import Image

    snapshots(ledger, 2)
    images = []
    for span in (
        {},
        {"since": "2026-03-02T10:00:00Z", "until": "2026-03-02T10:00:00.5Z"},
        {"since": "2030-01-01T00:00:00Z"},
    ):
        image = Image.open(io.BytesIO(exported(api("ben"), ledger, kind, "png", **span)))
        assert image.size == (1200, 600)
        images.append(image.tobytes())
    assert len(set(images)) == 3


def test_what_cannot_be_had_is_refused_by_name(desk: Desk, api: Ask) -> None:
    body = {"account": desk.account.pk, "kind": "deals", "format": "csv"}
    for change, field in (
        ({"format": "png"}, "format"), ({"format": "exe"}, "format"), ({"kind": "secrets"}, "kind"),
        ({"since": "2026-03-02"}, "since"), ({"account": str(desk.account.pk)}, "account"),
        ({"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"}, "until"), ({"path": "/etc"}, "path"),
    ):  # fmt: skip
        answer = api("ben").post("exports", body | change)
        assert (answer.status_code, list(answer.json()["error"]["fields"])) == (400, [field])
    assert api("ben").post("exports", body | {"account": desk.other.pk}).status_code == 404


def snapshots(desk: Desk, count: int) -> None:
    AccountSnapshot.objects.bulk_create(
        AccountSnapshot(
            account=desk.account, at=AT + timedelta(seconds=n + 1), balance=1, equity=2, margin=0, margin_level=0,
            positions=0, total_open_volume=0,
        )
        for n in range(count)
    )  # fmt: skip


def test_a_large_export_is_a_job_with_progress(desk: Desk, api: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROWS_AT_ONCE", 1_000)
    monkeypatch.setattr(services, "PART_BYTES", 10_000)
    snapshots(desk, 3_000)
    body = {"account": desk.account.pk, "kind": "equity", "format": "csv"}
    answer = api("ben").post("exports", body)
    assert (answer.status_code, answer.json()["status"], answer.json()["file"]) == (202, "queued", None)
    where = answer.headers["Location"].removeprefix("/api/")
    assert OrmQ.objects.count() == 1
    assert api("ben").get(f"{where}/file").status_code == 404
    seen: list[float] = []
    running = services._running

    def watched(export: Export) -> Any:
        seen.append(Export.objects.get(pk=export.pk).progress)
        return running(export)

    monkeypatch.setattr(services, "_running", watched)
    assert tasks.run(answer.json()["id"]) == "done"
    assert tasks.run(answer.json()["id"]) == "nothing to do", "delivered twice"
    assert len(seen) == 4
    assert 0 < seen[-1] <= 1
    done = api("ben").get(where).json()
    assert (done["status"], done["progress"], done["rows"]) == ("done", 1.0, 3_001)
    content = read(api("ben").get(f"{where}/file"))
    assert len(content.splitlines()) == 3_002
    assert ExportPart.objects.filter(export_id=done["id"]).count() > 5


def test_only_who_asked_fetches_it_and_only_with_a_role(desk: Desk, api: Ask) -> None:
    made = api("ben").post("exports", {"account": desk.account.pk, "kind": "deals", "format": "csv"}).json()
    for name, status in (("ada", 404), ("cem", 404), ("root", 200), ("ben", 200)):
        for path in (f"exports/{made['id']}", f"exports/{made['id']}/file"):
            assert api(name, "read").get(path).status_code == status, (name, path)
    assert AuditEntry.objects.filter(action="EXPORT", actor_name="ben", account=desk.account).count() == 2
    AccountRole.objects.filter(user=desk.people["ben"]).delete()
    assert api("ben").get(f"exports/{made['id']}/file").status_code == 404


def ask(desk: Desk, clock: VirtualClock) -> Export:
    return services.ask(
        account=desk.account, kind="equity", filetype="csv", since=None, until=None, by=desk.people["ben"], clock=clock
    )


def test_a_job_whose_worker_died_is_given_up_and_old_files_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "ROWS_AT_ONCE", 0)
    clock = VirtualClock(CLOCK.now())
    mine = Export.objects.filter(user=desk.people["ben"])
    mine.delete()
    lost = ask(desk, clock)
    mine.update(status="running")
    clock.advance(601)
    services.sweep(clock=clock)
    lost.refresh_from_db()
    assert (lost.status, lost.error) == ("failed", "Its worker was lost. Ask again.")
    for _ in range(services.UNDER_WAY_MAX):
        ask(desk, clock)
    with pytest.raises(ValidationError, match="under way"):
        ask(desk, clock)
    clock.advance(8 * 86_400)
    services.sweep(clock=clock)
    assert not mine.exists()
    assert Schedule.objects.filter(name="exports", func="exports.tasks.sweep").count() == 1


def test_a_file_that_is_too_large_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BYTES_MAX", 10)
    made = ask(desk, VirtualClock(CLOCK.now()))
    assert made.status == "failed"
    assert "shorter time" in made.error
    assert not made.parts.exists()


def test_the_page_asks_shows_and_sends(ledger: Desk, as_: Callable[[str], Client]) -> None:
    ben, cem = as_("ben"), as_("cem")
    page = "/admin/exports/export/"
    assert "Exports" in ben.get("/admin/").content.decode()
    form = {"account": ledger.account.pk, "kind": "statement", "format": "xlsx", "begin": "2026-03-02", "end": ""}
    assert "not after" in ben.post(f"{page}add/", form | {"end": "2026-03-01"}).content.decode()
    assert "chart is drawn of" in ben.post(f"{page}add/", form | {"kind": "deals", "format": "png"}).content.decode()
    assert cem.post(f"{page}add/", form).status_code == 200, "the account is none of his choices"
    before = Export.objects.count()
    answer = ben.post(f"{page}add/", form)
    assert (answer.status_code, Export.objects.count()) == (302, before + 1)
    made = Export.objects.latest("id")
    assert answer.headers["Location"].endswith(f"/{made.pk}/change/")
    assert "Download" in ben.get(answer.headers["Location"]).content.decode()
    assert read(ben.get(f"{page}{made.pk}/file/"))[:2] == b"PK"
    assert cem.get(f"{page}{made.pk}/file/").status_code == 404
    assert as_("ada").get(f"{page}{made.pk}/file/").status_code == 404
    Export.objects.filter(pk=made.pk).update(status="running", progress=0.4)
    shown = ben.get(answer.headers["Location"]).content.decode()
    assert "40%" in shown
    assert 'http-equiv="refresh"' in shown
    assert ben.get(f"{page}{made.pk}/file/").status_code == 404


def test_the_command_writes_a_new_file_and_overwrites_none(ledger: Desk, tmp_path: Any) -> None:
    path, out = tmp_path / "deals.json", io.StringIO()
    call_command("export", "deals", "Main", "--from", "2026-03-02", "--output", str(path), "--json", stdout=out)
    assert json.loads(out.getvalue()).items() >= {"rows": 4, "format": "json", "bytes": path.stat().st_size}.items()
    assert len(json.loads(path.read_bytes())["rows"]) == 4
    for words, said in (
        (("deals", "Main", "--output", str(path)), "is not overwritten"),
        (("deals", "Main", "--output", str(tmp_path / "x.pdf")), "--format: say one of csv"),
        (("deals", "Main", "--output", str(tmp_path / "x.png")), "chart is drawn of"),
        (("deals", "Nobody", "--output", str(tmp_path / "x.csv")), "no account 'Nobody'"),
        (("deals", "Main", "--output", str(tmp_path / "no" / "x.csv")), "--output"),
        (("deals", "Main", "--from", "2026-03-02", "--to", "2026-03-01", "--output", "-", "--format", "csv"), "until"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("export", *words)
    assert [file.name for file in tmp_path.iterdir()] == ["deals.json"]


AMOUNTS = st.decimals(-(10**6), 10**6, places=2)


@given(AMOUNTS, st.lists(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), max_size=8))
def test_a_statement_adds_up(opening: Decimal, amounts: list[tuple[Decimal, Decimal, Decimal, Decimal]]) -> None:
    lines = [
        LedgerLine(AT, n, "sell", "out", n, "EURUSD", ZERO, ZERO, *amount, comment="")
        for n, amount in enumerate(amounts)
    ]
    rows = list(statement_rows(lines, opening=opening, since=None, until=None))
    assert {len(row) for row in rows} == {15}
    assert rows[0][13] == opening
    assert rows[-1][13] == opening + sum((part for amount in amounts for part in amount), ZERO)
    for before, row in pairwise(rows[:-1]):
        assert row[13] == before[13] + row[12]  # type: ignore[operator]
