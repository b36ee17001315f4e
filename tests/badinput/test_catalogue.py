"""The catalogue of bad input (reliability.md, section 7): each row is named by a test that shows what comes of it."""

import re

import pytest

from tools.mutants import ROOT

NUMBERS, PAGE, FORMS = "badinput/test_numbers.py", "admin/test_config_page.py", "admin/test_forms.py"
API, CANDLES, LIVE = "api/test_input.py", "marketdata/test_candles.py", "events/test_consumer.py"
ENV, SITE, MT5 = "tradingsite/test_env.py", "tradingsite/test_checks.py", "brokers/mt5/test_gateway.py"
BODIES = f"{API}::test_bad_bodies_are_refused_with_the_field"
PARAMETERS = f"{API}::test_bad_parameters_are_refused_with_their_name"
FALLS = f"{FORMS}::test_bot_forms_never_fall_over"
NOT_UNDERSTOOD = f"{LIVE}::test_what_is_not_understood_is_said_and_the_third_time_the_last"
NONSENSE = f"{ENV}::test_nonsense_is_refused_by_name_without_its_value"
BAD_LINES = f"{CANDLES}::test_bad_lines_are_named_and_nothing_is_imported"
NO_FILES = f"{CANDLES}::test_files_that_are_none_are_refused"
DAMAGED = "brokers/mt5/test_parse.py::test_a_damaged_row_is_a_fact_or_a_failed_read"
DOCTOR = "engine/test_doctor.py::test_what_changes_under_a_connected_gateway_is_found"
CATALOGUE = {
    "7.1 forms": {
        "NaN and infinity": f"{NUMBERS}::test_odd_numbers_are_refused_at_their_fields",
        "underscores, other digits, exponents": f"{NUMBERS}::test_odd_numbers_are_refused_at_their_fields",
        "numbers without bounds": f"{NUMBERS}::"
        "test_every_parameter_that_is_a_number_has_a_smallest_and_a_largest_value",
        "minus nothing, spaces": f"{NUMBERS}::test_minus_nothing_is_nothing_and_spaces_around_a_number_are_none",
        "free JSON": f"{NUMBERS}::test_every_number_that_can_be_typed_is_strict_and_none_is_json",
        "duplicate keys, deep nesting in a file": "commands/test_botconfig.py::"
        "test_a_file_that_does_not_hold_is_refused_by_name",
        "magic 2^63": f"{FORMS}::test_a_bot_needs_sound_fields",
        "fields that contradict each other": f"{PAGE}::test_errors_across_fields_name_them",
        "a stop on the wrong side": "admin/test_actions.py::test_a_stop_on_the_wrong_side_of_the_price_is_refused",
        "an unknown symbol": "engine/test_doctor.py::test_each_sabotage_is_found_and_has_a_fix",
        "one magic twice": f"{FORMS}::test_a_magic_or_name_is_taken_once_an_account",
        "two bots on a symbol of a netting account": "strategies_services/test_services.py::"
        "test_an_account_that_nets_has_one_bot_at_work_a_symbol",
        "a stale form": f"{PAGE}::test_who_was_slower_is_told_who_changed_it_and_when",
        "a blank password, one with spaces": f"{FORMS}::test_the_password_goes_in_and_never_comes_out",
        "markup, bidi and zero-width characters": f"{FORMS}::test_names_with_odd_characters_are_refused",
        "anything else": FALLS,
    },
    "7.2 API": {
        "NaN, 1e999, duplicate keys, nesting, long integers, unknown fields, other types": BODIES,
        "naive times, bare dates": f"{API}::test_filters_take_what_they_know",
        "page size, ordering, filters": PARAMETERS,
        "wrong content type, empty, cut and large bodies": f"{API}::"
        "test_other_content_and_methods_are_refused_in_the_same_shape",
        "one key, another body": "api/test_engine.py::test_a_key_is_required_and_its_answer_is_kept",
        "a key that is a year old": "api/test_engine.py::test_a_key_that_is_a_year_old_trades_nothing",
        "another user's id": "api/test_rights.py::test_a_foreign_row_does_not_exist",
        "a state that does not allow it": "api/test_desk.py::test_what_has_no_meaning_is_a_conflict_that_says_why",
        "whatever the document allows": "api/test_schemathesis.py::test_no_request_made_from_the_document_breaks_it",
        "whatever bytes come": f"{API}::test_the_parser_answers_or_refuses_whatever_comes",
    },
    "7.3 WebSocket": {
        "NaN, lists, malformed, deep, unknown and internal types": NOT_UNDERSTOOD,
        "binary frames and any text": "events/test_messages.py::"
        "test_whatever_a_client_says_is_obeyed_or_refused_in_a_frame",
        "a big frame": f"{LIVE}::test_a_message_that_is_too_big_ends_the_connection",
        "a foreign account": f"{LIVE}::test_whoever_subscribes_to_a_foreign_account_hears_nothing_of_it",
        "thousands of groups, odd names": f"{LIVE}::test_a_subscription_that_is_not_understood_is_refused",
        "before the login": f"{LIVE}::test_who_is_not_logged_in_is_sent_away",
        "after the logout": f"{LIVE}::test_logging_out_elsewhere_ends_the_connection",
        "another site's page": "tradingsite/test_doors.py::test_a_page_of_another_site_opens_no_socket",
    },
    "7.4 environment": {
        "nonsense, intervals of zero, misspelt names, wildcards, debug, bad key rings and URLs": NONSENSE,
        "an empty or unreadable secret file": f"{ENV}::test_a_secret_file_that_holds_nothing_is_refused",
        "a newline after a secret": f"{ENV}::test_a_secret_may_come_from_a_file",
        "two names for one thing": f"{ENV}::test_a_secret_given_twice_is_refused",
        "words for yes and no": f"{ENV}::test_yes_and_no_are_said_in_any_case",
        "bytes that are no text": f"{ENV}::test_bytes_that_are_no_text_are_refused",
        "a retry that repeats tasks": f"{SITE}::test_a_queue_that_repeats_tasks_is_refused",
        "real money on a demo account": "engine/test_doctor.py::"
        "test_real_money_on_a_demo_account_is_never_traded_until_a_person_says_so",
    },
    "7.5 history files": {
        "encodings, gzip, a line without its end": f"{CANDLES}::test_files_come_in_many_wrappings",
        "separators, decimal comma, headers of MetaTrader": f"{CANDLES}::test_every_form_is_read_alike",
        "missing headers and columns, NUL, empty, long lines, another scale": NO_FILES,
        "bad prices, times out of order, years": BAD_LINES,
        "many problems": f"{CANDLES}::test_the_first_hundred_problems_are_told",
        "weekends, gaps": f"{CANDLES}::test_a_weekend_is_no_gap",
        "overlaps, the same file twice": f"{CANDLES}::"
        "test_the_same_again_changes_nothing_and_an_overlap_adds_what_is_new",
        "summer time, server time": f"{CANDLES}::test_server_time_follows_summer_time",
        "names that lead elsewhere": f"{CANDLES}::test_no_name_leaves_the_store",
        "one that breaks off": f"{CANDLES}::test_what_breaks_off_leaves_everything_as_it_was",
    },
    "7.6 brokers": {
        "None for an empty tuple": f"{MT5}::test_none_is_a_failure_and_never_an_empty_book",
        "missing fields, odd numbers, texts and codes": DAMAGED,
        "the same of OANDA": "brokers/oanda/test_parse.py::test_a_damaged_answer_is_a_fact_or_a_failed_read",
        "the same of a JForex bridge": "brokers/jforex/test_parse.py::test_a_damaged_answer_is_a_fact_or_a_failed_read",
        "the same of an exchange": "brokers/crypto/test_reading.py::test_damaged_answers_are_facts_or_a_failed_read",
        "an unknown return code": f"{MT5}::test_return_codes_mean_what_the_reference_says",
        "another login": f"{MT5}::test_another_login_on_the_terminal_is_never_traded",
        "another server, currency, leverage, mode, digits": DOCTOR,
        "our mark without an intent": "reconciliation/test_pass.py::"
        "test_a_position_with_our_mark_that_the_books_lost_stops_entries_until_it_is_settled",
        "orders without deals": "reconciliation/test_pass.py::"
        "test_an_order_without_a_position_and_without_a_deal_is_critical_and_nothing_is_closed_unproved",
        "credits, corrections, balance": "risk/test_scenarios.py::test_a_credit_is_no_gain",
        "reversals": "orders/test_netting.py::"
        "test_a_reversal_of_ours_that_closed_again_unseen_is_adopted_with_its_money",
        "another ticket of the same position": f"{MT5}::"
        "test_a_position_that_a_night_gave_another_ticket_is_still_closed",
        "comments cut or replaced": "orders/test_domain.py::test_any_comment_is_read_without_an_error",
        "suffixes of symbols": f"{MT5}::test_the_brokers_name_of_a_symbol_is_found",
        "an echo that differs": f"{MT5}::test_a_reply_to_another_request_is_unknown",
        "a book that changes meanwhile": f"{MT5}::test_a_book_that_changed_while_it_was_read_is_read_again",
    },
}


@pytest.mark.parametrize(("section", "row"), [(s, row) for s, rows in CATALOGUE.items() for row in rows])
def test_the_test_exists(section: str, row: str) -> None:
    path, _, name = CATALOGUE[section][row].partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text("utf-8"), re.MULTILINE)
