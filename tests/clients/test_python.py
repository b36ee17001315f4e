"""The Python client and its MCP server against the live site."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from django.core.wsgi import get_wsgi_application
from tradingdesk import Conflict, Desk, Forbidden, Invalid, NotFound, Unreachable
from tradingdesk.mcp import CHANGES, READS, RESOURCES, Server

from accounts.models import ApiRequest
from tests.admin.conftest import Desk as Site
from tests.admin.conftest import desk  # noqa: F401 - a fixture
from tests.api.conftest import token_of
from tests.api.test_schemathesis import one_connection  # noqa: F401 - a fixture
from tools.clienttypes import FILE, document, written

pytestmark = pytest.mark.django_db


class Losing(httpx.BaseTransport):
    """Loses the answers of the first requests, after the desk has got them."""

    def __init__(self, lost: int) -> None:
        self.inner, self.left = httpx.WSGITransport(app=get_wsgi_application()), lost

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.inner.handle_request(request)
        if self.left > 0:
            self.left -= 1
            answer.read()
            raise httpx.ReadTimeout("lost", request=request)
        return answer


@pytest.fixture
def ask(desk: Site, one_connection: None) -> Iterator[Callable[..., Desk]]:  # noqa: F811
    """Make clients that ask the site within this process."""
    made: list[Desk] = []

    def as_person(name: str, scope: str = "control", transport: httpx.BaseTransport | None = None) -> Desk:
        _, text = token_of(desk, name, scope)
        inside = transport or httpx.WSGITransport(app=get_wsgi_application())
        made.append(Desk("http://testserver", text, sleep=lambda seconds: None, transport=inside))
        return made[-1]

    yield as_person
    for one in made:
        one.close()


@pytest.mark.django_db(transaction=True)
def test_a_live_site_answers_over_the_network(live_server: Any, desk: Site) -> None:  # noqa: F811
    _, text = token_of(desk, "ada")
    with Desk(live_server.url, text) as client:
        assert [row["id"] for row in client.events.list(page_size=1)] == [row["id"] for row in client.events.list()]
        assert client.bot_state(desk.bot.pk, "start")["desired_state"] == "running"
        assert client.export(desk.account.pk, "deals", "csv").splitlines()[0].startswith(b"at,ticket")
        with pytest.raises(NotFound):
            client.accounts.get(desk.other.pk)
    with Desk(live_server.url, "td_wrong") as stranger, pytest.raises(Forbidden):
        list(stranger.accounts.list())


def test_rows_come_page_by_page_and_errors_are_exceptions(ask: Callable[..., Desk], desk: Site) -> None:  # noqa: F811
    root, ben = ask("root", "read"), ask("ben", "read")
    assert [row["id"] for row in root.events.list(page_size=1)] == [row["id"] for row in root.events.list()]
    assert len(list(root.accounts.list())) == 2
    assert [row["name"] for row in root.accounts.list(demo=True)] == ["Main"]
    (cycle,) = ben.cycles.list(status="open", account=desk.account.pk)
    assert ben.cycles.get(cycle["id"])["symbol"] == "EURUSD"
    assert [row["account"] for row in ben.not_sent.list()] == [desk.account.pk]
    with pytest.raises(NotFound):
        ben.accounts.get(desk.other.pk)
    with pytest.raises(Invalid) as refused:
        list(ben.orders.list(status="half"))
    assert (refused.value.status, list(refused.value.fields)) == (400, ["status"])
    with pytest.raises(Forbidden):
        ben.bot_state(desk.bot.pk, "start")
    with pytest.raises(Conflict) as conflict:
        ask("ada").close_cycle(cycle["id"], "enough")
    assert conflict.value.code == "not_running"
    with pytest.raises(ValueError, match="url"):
        Desk("desk.example.com", "t")


def test_a_lost_answer_is_asked_for_again_and_the_change_made_once(ask: Callable[..., Desk], desk: Site) -> None:  # noqa: F811
    ada = ask("ada", transport=Losing(2))
    before = ApiRequest.objects.count()
    assert ada.bot_state(desk.bot.pk, "start")["desired_state"] == "running"
    assert ApiRequest.objects.count() == before + 1
    with pytest.raises(Unreachable):
        ask("ada", transport=Losing(9)).steer("pause", desk.account.pk)
    assert ApiRequest.objects.count() == before + 2


def test_an_export_is_a_file(ask: Callable[..., Desk], desk: Site) -> None:  # noqa: F811
    content = ask("ben", "read").export(desk.account.pk, "deals", "csv")
    assert content.splitlines()[0].startswith(b"at,ticket")
    with pytest.raises(Invalid):
        ask("ben", "read").export(desk.account.pk, "deals", "png")


def test_the_types_are_those_of_the_document() -> None:
    assert written(document()) == FILE.read_text(encoding="utf-8"), "run `python tools/clienttypes.py`"


def said(server: Server, *messages: Any) -> list[Any]:
    """Send lines and return the answers."""
    out = io.StringIO()
    server.out = out
    server.lines = [text if isinstance(text, str) else json.dumps({"jsonrpc": "2.0", **text}) for text in messages]
    server.serve()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def call(name: str, number: int = 1, **arguments: Any) -> dict[str, Any]:
    return {"id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def text_of(answer: Any) -> tuple[str, bool]:
    return answer["result"]["content"][0]["text"], answer["result"]["isError"]


def test_an_assistant_reads_every_list(ask: Callable[..., Desk], desk: Site) -> None:  # noqa: F811
    server = Server(ask("ben", "read"), [], io.StringIO())
    start, tools = said(
        server, {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-03-26", "capabilities": {}}},
        {"method": "notifications/initialized"}, {"id": 2, "method": "tools/list"},
    )  # fmt: skip
    assert start["result"]["protocolVersion"] == "2025-03-26"
    assert [tool["name"] for tool in tools["result"]["tools"]] == list(READS)
    for resource in RESOURCES:
        (answer,) = said(server, call("rows", resource=resource, limit=1))
        text, is_error = text_of(answer)
        assert not is_error, text
        (row,) = json.loads(text)
        whole, is_error = text_of(said(server, call("row", resource=resource, id=row["id"]))[0])
        assert json.loads(whole)["id"] == row["id"]
    assert "Main" in text_of(said(server, call("engine_status"))[0])[0]
    assert "Elsewhere" not in text_of(said(server, call("engine_status"))[0])[0]
    assert "steps" in text_of(said(server, call("trace", intent=desk.intent.pk))[0])[0]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({}, "resource: it is missing"), ({"resource": "users"}, "resource: one of"),
        ({"resource": "orders", "limit": 0}, "limit: give a number"), ({"resource": "orders", "x": 1}, "x: unknown"),
        ({"resource": "orders", "limit": "9"}, "limit: give integer"), ({"resource": "orders", "limit": True}, "limit"),
        ({"resource": "orders", "filters": {"status": "half"}}, "status"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told(arguments: dict[str, Any], wanted: str, ask: Callable[..., Desk]) -> None:
    text, is_error = text_of(said(Server(ask("ben", "read"), [], io.StringIO()), call("rows", **arguments))[0])
    assert is_error
    assert wanted in text


def test_nonsense_is_answered_by_the_protocols_errors(ask: Callable[..., Desk]) -> None:
    server = Server(ask("ben", "read"), [], io.StringIO())
    answers = said(
        server,
        "nonsense",
        "[" * 100_000,
        "[]",
        {"id": 1, "method": "x"},
        {"id": 2, "method": "ping"},
        call("bot_state"),
    )
    assert [answer.get("error", {}).get("code") for answer in answers[:4]] == [-32700, -32700, -32600, -32601]
    assert answers[4]["result"] == {}
    assert "no tool" in text_of(answers[5])[0], "changes are not offered without being allowed"
    (wrong,) = said(server, {"id": 3, "method": "tools/call", "params": {"name": 5}})
    assert wrong["error"]["code"] == -32602


def state(site: Site) -> str:
    site.bot.refresh_from_db()
    return site.bot.desired_state


def test_a_change_is_done_by_confirm_alone_and_once(ask: Callable[..., Desk], desk: Site) -> None:  # noqa: F811
    codes = iter(["c1", "c2", "c3"])
    server = Server(ask("ada"), [], io.StringIO(), allow_changes=True, new_code=lambda: next(codes))
    (tools,) = said(server, {"id": 1, "method": "tools/list"})
    hints = {tool["name"]: tool["annotations"]["readOnlyHint"] for tool in tools["result"]["tools"]}
    assert [name for name, reads in hints.items() if not reads] == ["confirm"]
    assert CHANGES.keys() < hints.keys()
    text, _ = text_of(said(server, call("bot_state", bot=desk.bot.pk, step="start"))[0])
    assert text == f"Proposed, not done: Bot {desk.bot.pk}: start. Ask the person; then confirm with c1."
    assert state(desk) == "stopped"
    assert text_of(said(server, call("confirm", code="c9"))[0])[1]
    assert not text_of(said(server, call("confirm", code="c1"))[0])[1]
    assert state(desk) == "running"
    assert text_of(said(server, call("confirm", code="c1"))[0])[1], "a code holds once"
    said(server, call("bot_state", bot=desk.bot.pk, step="stop"), call("bot_state", bot=desk.bot.pk, step="pause"))
    assert text_of(said(server, call("confirm", code="c2"))[0])[1], "only what was proposed last"
    assert state(desk) == "running"


@pytest.mark.parametrize(
    ("answer", "after"),
    [
        ({"action": "accept", "content": {"agree": True}}, "running"),
        ({"action": "accept", "content": {"agree": False}}, "stopped"),
        ({"action": "accept"}, "stopped"),
        ({"action": "decline"}, "stopped"),
        (None, "stopped"),
    ],
)
def test_a_host_that_can_ask_is_made_to(
    answer: dict[str, Any] | None,
    after: str,
    ask: Callable[..., Desk],
    desk: Site,  # noqa: F811
) -> None:
    server = Server(ask("ada"), [], io.StringIO(), allow_changes=True, new_code=lambda: "c1")
    said(server, {"id": 1, "method": "initialize", "params": {"capabilities": {"elicitation": {}}}})
    said(server, call("bot_state", bot=desk.bot.pk, step="start"))
    replies = [] if answer is None else ["nonsense", {"id": 7, "method": "ping"}, {"id": "ask-1", "result": answer}]
    answers = said(server, call("confirm", code="c1"), *replies)
    assert answers[0]["method"] == "elicitation/create"
    assert "start" in answers[0]["params"]["message"]
    assert state(desk) == after
