"""An MCP server over standard input and output: an assistant reads the desk, and changes it when a person agrees.

It speaks JSON-RPC as the Model Context Protocol says (source: https://modelcontextprotocol.io/specification), a message
a line, and needs no package but the client's. What changes something is proposed first; only `confirm` carries it out,
and hosts that can ask their person (elicitation) are made to. Without `--allow-changes` there are reading tools only.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TextIO

from tradingdesk.client import Desk
from tradingdesk.errors import DeskError

VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
ROWS_MAX = 100
RESOURCES = (
    "accounts", "bots", "cycles", "orders", "intents", "not-sent", "deals", "divergences", "events", "alarms", "blocks",
    "backtests", "equity", "statistics", "copies", "signals",
)  # fmt: skip
INSTRUCTIONS = (
    "Reads a trading desk with real money in it. Before `confirm`, show the person exactly what is proposed and wait "
    "for their yes in words; never agree for them."
)
NUMBER = {"type": "integer", "minimum": 1}
WORDS = {"type": "string", "minLength": 1, "maxLength": 300}


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, its arguments as JSON Schema, and what does it; `sentence` says what a change would do."""

    text: str
    properties: Mapping[str, Any]
    required: tuple[str, ...]
    run: Callable[[Desk, Mapping[str, Any]], Any]
    sentence: str = ""


def _rows(desk: Desk, given: Mapping[str, Any]) -> Any:
    limit = min(int(given.get("limit", 20)), ROWS_MAX)
    filters = {**given.get("filters", {}), "page_size": limit}
    return list(islice(getattr(desk, str(given["resource"]).replace("-", "_")).list(**filters), limit))


READS: dict[str, Tool] = {
    "engine_status": Tool(
        "How the engine and the accounts are.", {}, (), lambda desk, _: desk.read("trade-engine/status")
    ),
    "rows": Tool(
        "Rows of one list, the newest first; filters are the API's, as {\"status\": \"open\", \"account\": 1}.",
        {
            "resource": {"type": "string", "enum": list(RESOURCES)},
            "filters": {"type": "object", "additionalProperties": {"type": ["string", "integer", "boolean"]}},
            "limit": {"type": "integer", "minimum": 1, "maximum": ROWS_MAX},
        },
        ("resource",), _rows,
    ),
    "row": Tool(
        "One row whole.", {"resource": {"type": "string", "enum": list(RESOURCES)}, "id": NUMBER}, ("resource", "id"),
        lambda desk, given: getattr(desk, str(given["resource"]).replace("-", "_")).get(given["id"]),
    ),
    "trace": Tool(
        "Every step of an intent, from the tick that caused it to the cycle's change.", {"intent": NUMBER}, ("intent",),
        lambda desk, given: desk.read(f"intents/{given['intent']}/trace"),
    ),
}  # fmt: skip
CHANGES: dict[str, Tool] = {
    "pause_account": Tool(
        "Hold back an account's entries.", {"account": NUMBER}, ("account",),
        lambda desk, given: desk.steer("pause", given["account"]), "Pause account {account}: no entries, exits go on.",
    ),
    "resume_account": Tool(
        "Allow a paused account's entries again.", {"account": NUMBER}, ("account",),
        lambda desk, given: desk.steer("resume", given["account"]), "Let account {account} open positions again.",
    ),
    "bot_state": Tool(
        "Start, pause or stop a bot.", {"bot": NUMBER, "step": {"type": "string", "enum": ["start", "pause", "stop"]}},
        ("bot", "step"), lambda desk, given: desk.bot_state(given["bot"], given["step"]), "Bot {bot}: {step}.",
    ),
    "close_cycle": Tool(
        "Close every leg of a cycle.", {"cycle": NUMBER, "reason": WORDS}, ("cycle", "reason"),
        lambda desk, given: desk.close_cycle(given["cycle"], given["reason"]), "Close cycle {cycle} at once: {reason}.",
    ),
    "start_backtest": Tool(
        "Replay a bot's configuration; nothing is traded.", {"bot": NUMBER, "begin": WORDS, "end": WORDS}, ("bot",),
        lambda desk, given: desk.backtest(**given), "Start a backtest of bot {bot}.",
    ),
}  # fmt: skip


@dataclass(slots=True)
class Server:
    """One conversation."""

    desk: Desk
    lines: Iterable[str]
    out: TextIO
    allow_changes: bool = False
    new_code: Callable[[], str] = field(default=lambda: os.urandom(4).hex())
    _proposed: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    _can_ask: bool = False
    _asked: int = 0

    def serve(self) -> None:
        """Answer until the input ends."""
        self.lines = iter(self.lines)
        for line in self.lines:
            answer = self._line(line)
            if answer is not None:
                self._write(answer)

    def _write(self, message: Mapping[str, Any]) -> None:
        self.out.write(json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False) + "\n")
        self.out.flush()

    def _line(self, line: str) -> dict[str, Any] | None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            return _problem(None, -32700, "this is no JSON")
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            return _problem(None, -32600, "this is no request")
        if "id" not in message:
            return None
        parameters = message.get("params")
        return self._request(message["id"], message["method"], parameters if isinstance(parameters, dict) else {})

    def _request(self, number: Any, method: str, given: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                wanted = given.get("protocolVersion")
                capabilities = given.get("capabilities")
                self._can_ask = isinstance(capabilities, dict) and "elicitation" in capabilities
                result: dict[str, Any] = {
                    "protocolVersion": wanted if wanted in VERSIONS else VERSIONS[0],
                    "capabilities": {"tools": {}}, "serverInfo": {"name": "trading-desk", "version": "0.1.0"},
                    "instructions": INSTRUCTIONS,
                }  # fmt: skip
            case "ping":
                result = {}
            case "tools/list":
                result = {"tools": self._tools()}
            case "tools/call":
                name, arguments = given.get("name"), given.get("arguments") or {}
                if not isinstance(name, str) or not isinstance(arguments, dict):
                    return _problem(number, -32602, "give a name, and arguments as an object")
                result = self._call(name, arguments)
            case _:
                return _problem(number, -32601, f"{method} is not known")
        return {"id": number, "result": result}

    def _tools(self) -> list[dict[str, Any]]:
        found = [_described(name, tool, reads=True) for name, tool in READS.items()]
        if self.allow_changes:
            found += [
                _described(name, tool, reads=True, text=f"Propose: {tool.text} Nothing is done before `confirm`.")
                for name, tool in CHANGES.items()
            ]
            found.append(_described("confirm", CONFIRM, reads=False))
        return found

    def _call(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        tool = READS.get(name)
        change = CHANGES.get(name) if self.allow_changes else None
        if name == "confirm" and self.allow_changes:
            return self._confirm(given)
        if tool is None and change is None:
            return _said(f"There is no tool {name!r}.", is_error=True)
        wrong = _wrong(tool or change, given)
        if wrong:
            return _said(wrong, is_error=True)
        if change is not None:
            code = self.new_code()
            self._proposed = {code: (name, dict(given))}
            return _said(
                f"Proposed, not done: {change.sentence.format(**given)} Ask the person; then confirm with {code}."
            )
        assert tool is not None
        return self._run(tool, given)

    def _confirm(self, given: dict[str, Any]) -> dict[str, Any]:
        known = self._proposed.pop(str(given.get("code", "")), None)
        if known is None:
            return _said("Nothing was proposed with this code, or it was used. Nothing was done.", is_error=True)
        name, arguments = known
        if self._can_ask and not self._person_agrees(CHANGES[name].sentence.format(**arguments)):
            return _said("The person did not agree. Nothing was done.", is_error=True)
        return self._run(CHANGES[name], arguments)

    def _person_agrees(self, sentence: str) -> bool:
        """Let the host ask its person, and wait for the answer; other requests of the time are refused."""
        self._asked += 1
        number = f"ask-{self._asked}"
        schema = {
            "type": "object",
            "properties": {"agree": {"type": "boolean", "title": sentence}},
            "required": ["agree"],
        }
        parameters = {"message": sentence, "requestedSchema": schema}
        self._write({"id": number, "method": "elicitation/create", "params": parameters})
        for line in self.lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(message, dict) and message.get("id") == number and "method" not in message:
                result = message.get("result")
                content = result.get("content") if isinstance(result, dict) else None
                accepted = isinstance(result, dict) and result.get("action") == "accept"
                return accepted and isinstance(content, dict) and content.get("agree") is True
            if isinstance(message, dict) and "id" in message and "method" in message:
                self._write(_problem(message["id"], -32000, "the person is being asked; wait"))
        return False

    def _run(self, tool: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return _said(json.dumps(tool.run(self.desk, given), ensure_ascii=False, indent=1))
        except DeskError as problem:
            fields = "".join(f"\n{name}: {' '.join(texts)}" for name, texts in problem.fields.items())
            return _said(f"{problem}{fields}", is_error=True)


CONFIRM = Tool(
    "Carry out what was proposed, after the person has said yes to it in words.",
    {"code": {"type": "string"}}, ("code",), lambda desk, given: None,
)  # fmt: skip


def _described(name: str, tool: Tool, *, reads: bool, text: str = "") -> dict[str, Any]:
    schema = {
        "type": "object", "properties": dict(tool.properties), "required": list(tool.required),
        "additionalProperties": False,
    }  # fmt: skip
    hints = {"readOnlyHint": reads, "destructiveHint": not reads}
    return {"name": name, "description": text or tool.text, "inputSchema": schema, "annotations": hints}


def _wrong(tool: Tool | None, given: Mapping[str, Any]) -> str:
    """Say what is wrong with arguments, "" where nothing is; the desk checks the rest."""
    assert tool is not None
    for name in tool.required:
        if name not in given:
            return f"{name}: it is missing."
    for name, value in given.items():
        wanted = tool.properties.get(name)
        if wanted is None:
            return f"{name}: unknown; known: {', '.join(tool.properties) or 'none'}."
        kind = {"integer": int, "string": str, "object": dict}[wanted["type"]]
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name}: give {wanted['type']}."
        if "enum" in wanted and value not in wanted["enum"]:
            return f"{name}: one of {', '.join(wanted['enum'])}."
        if isinstance(value, int) and value < 1:
            return f"{name}: give a number from 1 on."
    return ""


def _said(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def _problem(number: Any, code: int, text: str) -> dict[str, Any]:
    return {"id": number, "error": {"code": code, "message": text}}


def main() -> None:
    """`tradingdesk-mcp [--allow-changes]`; TRADINGDESK_URL and TRADINGDESK_TOKEN say which desk, and as whom."""
    parser = argparse.ArgumentParser(prog="tradingdesk-mcp", description=main.__doc__)
    parser.add_argument("--allow-changes", action="store_true", help="offer tools that change something, too")
    options = parser.parse_args()
    url, token = (os.environ.get(name, "") for name in ("TRADINGDESK_URL", "TRADINGDESK_TOKEN"))
    if not url or not token:
        parser.error("set TRADINGDESK_URL and TRADINGDESK_TOKEN")
    with Desk(url, token) as desk:
        Server(desk, sys.stdin, sys.stdout, allow_changes=options.allow_changes).serve()


if __name__ == "__main__":
    main()
