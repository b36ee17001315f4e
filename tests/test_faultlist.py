"""The fault catalogue: each fault is named by a test that shows what holds."""

import pytest

from tests.simulation.faults import FAULTS
from tools.mutants import ROOT

MATRIX = "tests/simulation/test_matrix.py::test_the_matrix_holds"
SESSION, LEASE, OUTCOMES = "tests/engine/test_session.py", "tests/engine/test_lease.py", "tests/engine/test_outcomes.py"
PROCESSES = "tests/processes/test_faults.py"
SAFETY, MANAGER, DOMAIN = "tests/orders/test_safety.py", "tests/orders/test_manager.py", "tests/orders/test_domain.py"
WHOLE, ENDURANCE = "tests/orders/test_faults.py", "tests/engine/test_endurance.py"
FAULT_TESTS = {
    "F01": f"{SESSION}::test_a_lost_reply_after_the_fill_is_adopted_and_not_sent_again",
    "F02": f"{SESSION}::test_a_request_lost_on_its_way_is_proven_absent_before_another_is_made",
    "F03": f"{OUTCOMES}::test_an_execution_after_its_absence_was_proved_is_adopted_too_and_told",
    "F04": "tests/simulation/test_matrix.py::test_the_engine_may_die_at_both_sides_of_every_other_write",
    "F05": MATRIX,
    "F06": "tests/processes/test_hosts.py::test_hosts_take_over_from_each_other_and_nothing_is_sent_twice",
    "F07": f"{LEASE}::test_of_many_at_once_one_gets_it",
    "F08": f"{PROCESSES}::test_one_of_five_engines_runs_and_a_task_that_is_delivered_again_is_harmless",
    "F09": f"{PROCESSES}::test_the_database_dies_and_trading_goes_on",
    "F10": f"{PROCESSES}::test_a_commit_whose_answer_never_comes_is_looked_up",
    "F11": f"{SAFETY}::test_a_send_inside_a_transaction_is_refused",
    "F12": f"{MANAGER}::test_a_lost_connection_backs_off_and_recovers_without_a_false_closure",
    "F13": f"{DOMAIN}::test_a_closure_is_the_same_in_any_order_of_arrival_and_with_duplicates",
    "F14": f"{DOMAIN}::test_a_closure_is_the_same_in_any_order_of_arrival_and_with_duplicates",
    "F15": f"{MANAGER}::test_a_partial_close_and_changed_stops_are_followed",
    "F16": f"{DOMAIN}::test_deals_that_do_not_prove_a_closure_close_nothing",
    "F17": f"{SESSION}::test_an_empty_answer_that_is_a_failure_closes_nothing",
    "F18": "tests/brokers/mt5/test_gateway.py::test_a_book_that_changed_while_it_was_read_is_read_again",
    "F19": "tests/brokers/mt5/test_gateway.py::test_another_login_on_the_terminal_is_never_traded",
    "F20": f"{DOMAIN}::test_a_closure_is_classified_by_its_deals_reason",
    "F21": f"{WHOLE}::test_a_take_profit_that_fires_while_a_close_is_sent_closes_once",
    "F22": "tests/brokers/simulator/test_netting.py::test_a_close_that_names_the_position_never_turns_it_round",
    "F23": f"{MANAGER}::test_a_foreign_position_is_reported_once_and_left_alone",
    "F24": f"{MANAGER}::test_swaps_of_the_night_reach_the_books",
    "F25": "tests/engine/test_performance.py::test_a_wrong_clock_holds_back_entries_until_it_is_right",
    "F26": f"{WHOLE}::test_nothing_is_entered_on_prices_that_stand_still",
    "F27": "tests/engine/test_doctor.py::test_findings_and_specifications_are_kept_and_a_change_is_told",
    "F28": "tests/risk/test_review.py::test_the_same_is_asked_again_only_after_a_growing_wait",
    "F29": f"{WHOLE}::test_a_call_to_the_broker_that_never_returns_ends_the_runner",
    "F30": f"{ENDURANCE}::test_nothing_leaves_when_the_disk_is_full_and_trading_goes_on_when_it_is_not",
    "F31": "tests/events/test_bus.py::test_a_broken_connection_is_made_again_and_everyone_starts_anew",
    "F32": "tests/events/test_consumer.py::test_a_full_queue_is_replaced_by_a_snapshot",
    "F33": "tests/strategies_services/test_services.py::test_versions_follow_each_other_and_tell_what_changed",
    "F34": f"{WHOLE}::test_a_strategy_that_raises_is_parked_and_others_go_on",
    "F35": f"{ENDURANCE}::test_one_poisoned_row_does_not_keep_the_others_from_being_served",
    "F36": "tests/test_schema_changes.py::test_an_older_version_can_go_on_beside_it",
    "F38": f"{ENDURANCE}::test_all_positions_of_many_accounts_change_at_once_and_every_account_gets_its_turn",
    "F39": f"{ENDURANCE}::test_hours_of_work_leave_nothing_behind",
    "F37": "tests/tradingsite/test_backup.py::test_a_restored_engine_sends_nothing_until_a_person_lets_it",
    "F40": f"{WHOLE}::test_a_person_who_was_wrong_is_corrected_by_evidence",
}
ALL = {f"F{number:02}" for number in range(1, 41)}


def test_every_fault_is_named_by_a_test() -> None:
    assert FAULT_TESTS.keys() == ALL
    assert {fault for f in FAULTS.values() for fault in f.ids} <= ALL


@pytest.mark.parametrize("fault", FAULT_TESTS)
def test_the_test_exists(fault: str) -> None:
    path, _, function = FAULT_TESTS[fault].partition("::")
    assert f"def {function}(" in (ROOT / path).read_text(encoding="utf-8")
