"""Remove each safety line in turn, in a copy of the repository, and see that its tests turn red.

    python tools/mutants.py [NAME …] [--list] [--workers N]

A new mutant is one entry of MUTANTS: what it removes, the file, the exact text with what takes its place, and the tests
that must fail. Exit code 0: every mutant was killed; 1: one survived, or its text is not in the file any more.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools.guardmutants import GUARD_MUTANTS
from tools.mutant import Mutant
from tools.papermutants import PAPER_MUTANTS
from tools.replayguardmutants import REPLAY_GUARD_MUTANTS
from tools.replaymutants import REPLAY_MUTANTS

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "var", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
TESTS_FAILED = 1
RUN_SECONDS = 600
WORKERS = 2


SAFETY = "tests/orders/test_safety.py"
LEASE = "tests/engine/test_lease.py"
OUTCOMES = "tests/engine/test_outcomes.py"
BACKUP = "tests/tradingsite/test_backup.py"
CALM = "tests/simulation/test_seeds.py::test_a_calm_run_trades"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "one process drives a terminal", "brokers/terminallock.py",
        (("lock.acquire(blocking=False)", "(lock.acquire(blocking=False) or True)"),),
        ("tests/brokers/mt5/test_terminallock.py::test_an_agent_and_an_engine_beside_it_do_not_share_a_terminal",),
    ),
    Mutant(
        "a restored account is frozen", "engine/restored.py",
        (("        raise_block(account_id=account.pk, cause=FROZEN, reason=reason, at=at)\n", ""),),
        (f"{BACKUP}::test_a_restored_engine_sends_nothing_until_a_person_lets_it",),
    ),
    Mutant(
        "a restore raises the fencing tokens", "engine/restored.py",
        (("token = greatest(token + 1, %s)\"", "token = least(token, %s)\""),),
        (f"{BACKUP}::test_what_waited_in_the_backup_is_not_carried_out",),
    ),
    Mutant(
        "what waited in a backup is not carried out", "engine/restored.py",
        (("filter(state=Command.State.WAITING).update(", "filter(state=Command.State.DONE).update("),),
        (f"{BACKUP}::test_what_waited_in_the_backup_is_not_carried_out",),
    ),
    Mutant(
        "a time nobody knows is not read", "brokers/mt5/gateway.py",
        (("if not self.server_clock.known:\n            raise", "if False:\n            raise"),),
        ("tests/brokers/mt5/test_gateway.py::test_no_deal_is_told_with_a_time_that_nobody_knows",),
    ),
    Mutant(
        "compare-and-swap", "orders/services.py",
        ((".filter(pk=intent_id, state=frm).update(", ".filter(pk=intent_id).update("),),
        (f"{SAFETY}::test_a_step_is_taken_once",),
    ),
    Mutant(
        "SENT is committed before the send", "orders/sending.py",
        (
            ('    with fenced(gate, "sent", durable=True):',
             ("    early = gateway.send(request_of(intent), Permit(intent.token, gate.token, deadline))\n"
             '    with fenced(gate, "sent", durable=True):')),
            ("    outcome = gateway.send(request_of(intent), Permit(intent.token, gate.token, deadline))\n",
             "    outcome = early\n"),
        ),
        (CALM,),
    ),
    Mutant(
        "no send inside a transaction", "orders/gate.py",
        (("with transaction.atomic(durable=durable):", "with transaction.atomic():"),),
        (f"{SAFETY}::test_a_send_inside_a_transaction_is_refused",),
    ),
    Mutant(
        "fence of every write", "orders/gate.py",
        (("        gate.assert_current()\n        yield", "        yield"),),
        (f"{LEASE}::test_a_paused_engine_that_wakes_up_sends_and_writes_nothing",),
    ),
    Mutant(
        "a valid lease stays with its holder", "engine/lease.py",
        ((' AND (expires_at IS NULL OR expires_at < clock_timestamp()) RETURNING token"', ' RETURNING token"'),),
        (f"{LEASE}::test_a_valid_lease_is_not_given_away_and_a_free_one_has_a_greater_token",),
    ),
    Mutant(
        "the token grows with each holder", "engine/lease.py",
        (("token = token + 1, ", ""),),
        (f"{LEASE}::test_a_valid_lease_is_not_given_away_and_a_free_one_has_a_greater_token",),
    ),
    Mutant(
        "the gate looks at the lease's margin", "engine/gate.py",
        (("if self._lease.margin_seconds() <= 0:", "if self._lease.margin_seconds() <= -1e9:"),),
        (f"{LEASE}::test_the_gate_says_why_nothing_leaves",),
    ),
    Mutant(
        "the gate looks at the deadline", "engine/gate.py",
        (("if self._clock.now() >= deadline:", "if deadline is None:"),),
        (f"{LEASE}::test_the_gate_says_why_nothing_leaves",),
    ),
    Mutant(
        "the gate looks into the send journal", "engine/gate.py",
        (('        if token in self._journal:\n            return "it was sent before"\n', ""),),
        (f"{LEASE}::test_the_gate_says_why_nothing_leaves",),
    ),
    Mutant(
        "the gate writes into the send journal", "engine/gate.py",
        (("        self._journal.add(token)\n", ""),),
        (f"{LEASE}::test_the_gate_says_why_nothing_leaves",),
    ),
    Mutant(
        "an intent that the gate holds back does not leave", "orders/sending.py",
        (("        _hold_back(intent, objection, gate=gate, at=clock.now())\n        return None\n",
          "        _hold_back(intent, objection, gate=gate, at=clock.now())\n"),),
        (f"{SAFETY}::test_what_the_gate_holds_back_does_not_leave",),
    ),
    Mutant(
        "a missing reply is unknown", "brokers/mt5/gateway.py",
        (('return Unknown(f"no reply ({code} {text})", code)', 'return Refused("no_reply", code)'),),
        (f"{OUTCOMES}::test_an_execution_that_comes_late_is_adopted_and_never_repeated",),
    ),
    Mutant(
        "None is no empty answer", "brokers/mt5/gateway.py",
        (
            ('raise ReadError(f"{function} failed ({code} {text}).", "Check the terminal and its connection.")',
             "return ()"),
        ),
        ("tests/brokers/mt5/test_gateway.py::test_none_is_a_failure_and_never_an_empty_book",),
    ),
    Mutant(
        "the login is the expected one", "brokers/mt5/gateway.py",
        (("if state.login != self._login or state.server != self._server:", "if state.login == -1:"),),
        ("tests/brokers",),
    ),
    Mutant(
        "absence waits until the broker settled", "orders/unknowns.py",
        (("if at - intent.sent_at < SETTLE or", "if"),),
        (f"{OUTCOMES}::test_an_execution_that_comes_late_is_adopted_and_never_repeated",),
    ),
    Mutant(
        "absence needs two agreeing looks", "orders/unknowns.py",
        (("        if at - first < AGREEING_READS_APART:\n            return False\n", ""),),
        (f"{SAFETY}::test_absence_takes_two_looks_five_seconds_apart",),
    ),
    Mutant(
        "absence needs the ledger", "orders/unknowns.py",
        (("            if proof is not None:\n", "            if proof is None and deals == ():\n"),),
        (f"{SAFETY}::test_what_was_filled_and_closed_unseen_is_adopted_by_its_deals",),
    ),
    Mutant(
        "the comment carries the token", "orders/domain.py",
        (('return f"{COMMENT_PREFIX}:{token}"', 'return f"{COMMENT_PREFIX}:"'),),
        (f"{OUTCOMES}::test_an_execution_that_comes_late_is_adopted_and_never_repeated",),
    ),
    Mutant(
        "one cause has one intent", "orders/services.py",
        (("if last is not None and last.state not in (IntentState.REFUSED, IntentState.ABSENT):",
          "if last is not None and last.state == 'nothing':"),),
        (f"{SAFETY}::test_a_decision_is_carried_out_once",),
    ),
    Mutant(
        "what is in flight counts as exposure", "orders/selectors.py",
        (("OrderIntent.objects.filter(UNDER_WAY, account_id=account_id)",
          "OrderIntent.objects.filter(UNDER_WAY, account_id=-1)"),),
        (f"{OUTCOMES}::test_an_execution_that_comes_late_is_adopted_and_never_repeated",),
    ),
    Mutant(
        "a doubt of this round holds back its further entries", "engine/trading.py",
        (("unknown_outcomes=standing.unknown_outcomes + self._doubts", "unknown_outcomes=standing.unknown_outcomes"),),
        (f"{SAFETY}::test_no_entry_follows_in_the_same_round_on_one_of_which_nobody_knows",),
    ),
    Mutant(
        "what a failed commit left is doubted", "orders/manager.py",
        (("        if any(intent.state in HALF_DONE for intent in intents):\n", "        if at is None:\n"),),
        (f"{SAFETY}::test_a_request_whose_outcome_was_not_recorded_is_looked_up",),
    ),
    Mutant(
        "the journal knows better than a restored database", "orders/services.py",
        (("if state == IntentState.SENT or gate.was_sent(token):", "if state == IntentState.SENT:"),),
        (f"{SAFETY}::test_what_left_before_a_backup_was_restored_is_never_sent_again",),
    ),
    Mutant(
        "a late execution blocks entries", "orders/adopting.py",
        (("            gate.forbid_entries(LATE, reason, at)\n", "            pass\n"),),
        (f"{OUTCOMES}::test_an_execution_after_its_absence_was_proved_is_adopted_too_and_told",),
    ),
    Mutant(
        "lots that join a position take its level", "orders/sending.py",
        (("update(level=level, volume_initial=lots)", "update(volume_initial=lots)"),),
        ("tests/orders/test_netting.py::test_a_second_leg_joins_the_position_and_its_order_holds_both",),
    ),
    Mutant(
        "nothing joins another cycle's position", "orders/sending.py",
        (("    objection = objection or (_whose_it_would_join(intent) if entry else None)\n", ""),),
        ("tests/orders/test_netting.py::test_nothing_joins_the_position_of_another_cycle",),
    ),
    Mutant(
        "nothing joins a person's position", "brokers/mt5/requests.py",
        (("        if int(row.magic) != request.magic:", "        if False:"),),
        ("tests/orders/test_netting.py::test_nothing_joins_the_position_of_a_person",),
    ),
    Mutant(
        "a closure is proved by deals", "orders/domain.py",
        (("if not outs or went_in <= 0 or abs(went_in - went_out) > VOLUME_NOISE:", "if not outs:"),),
        ("tests/orders/test_domain.py",),
    ),
    Mutant(
        "entries are blocked until books equal broker", "engine/session.py",
        (("cause=START_UP,\n                reason=", "cause=CLOCK,\n                reason="),),
        (f"{SAFETY}::test_nothing_is_entered_before_the_books_equal_the_broker",),
    ),
    *GUARD_MUTANTS,
    *PAPER_MUTANTS,
    *REPLAY_MUTANTS,
    *REPLAY_GUARD_MUTANTS,
)  # fmt: skip


def mutated(text: str, mutant: Mutant) -> str:
    """Return a file's text without the safety line. Raises ValueError when the line is not there exactly once."""
    for old, new in mutant.edits:
        if text.count(old) != 1:
            raise ValueError(f"{mutant.name}: {mutant.file} has {text.count(old)} times: {old.strip()!r}")
        text = text.replace(old, new)
    return text


def survives(mutant: Mutant, copy: Path) -> str | None:
    """Run a mutant's tests in the copy; return what is wrong, None when it was killed."""
    path = copy / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutated(whole, mutant), encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests],
            cwd=copy, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
    finally:
        path.write_text(whole, encoding="utf-8")
    if done.returncode == TESTS_FAILED and " failed" in done.stdout:
        return None
    return "its tests stay green" if done.returncode == 0 else f"its tests can't run:\n{done.stdout[-2000:]}"


class Copies:
    """Copies of the repository, one a worker, each with a database server that lives as long as the copy."""

    def __init__(self, folder: Path, count: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._all = [folder / str(number) / "repository" for number in range(count)]

    def __enter__(self) -> "Copies":
        for copy in self._all:
            shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
            _manage(copy, "db", "start")
            self._free.put(copy)
        return self

    def __exit__(self, *about: object) -> None:
        for copy in self._all:
            _manage(copy, "stop")

    def judge(self, mutant: Mutant) -> str | None:
        """Say what is wrong with a mutant, None when it was killed."""
        copy = self._free.get()
        try:
            return survives(mutant, copy)
        except (ValueError, subprocess.TimeoutExpired) as problem:
            return str(problem)
        finally:
            self._free.put(copy)


def _manage(copy: Path, *words: str) -> None:
    where = {"TRADING_VAR_DIR": str(copy / "var" / "test" / "alone")}
    subprocess.run([sys.executable, "manage.py", *words], cwd=copy, capture_output=True, check=False,
                   env={**os.environ, **where})  # fmt: skip


def main() -> int:
    """Run the mutants that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", help="part of a mutant's name")
    parser.add_argument("--list", action="store_true", help="only list them")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"how many at a time ({WORKERS})")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.name or any(part in m.name for part in options.name)]
    if options.list:
        print("\n".join(f"{m.name}  ({m.file})" for m in chosen))
        return 0
    alive = 0
    workers = max(1, options.workers)
    with (
        tempfile.TemporaryDirectory() as folder,
        Copies(Path(folder), workers) as copies,
        ThreadPoolExecutor(workers) as pool,
    ):
        for mutant, wrong in zip(chosen, pool.map(copies.judge, chosen), strict=True):
            alive += wrong is not None
            said = "killed  " if wrong is None else "SURVIVED"
            print(f"{said}  {mutant.name}" + (f": {wrong}" if wrong else ""), flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} mutants killed")
    return 1 if alive or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
