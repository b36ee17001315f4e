"""Signatures and ages of alerts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.domain import age_objection, is_signed, signature_of

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def test_the_signature_is_the_one_that_everybody_computes() -> None:
    known = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    assert signature_of(b"The quick brown fox jumps over the lazy dog", "key") == known


@given(st.binary(max_size=60), st.binary(max_size=60), st.text(min_size=1, max_size=20))
def test_a_signature_is_for_these_bytes_and_this_secret_only(body: bytes, other: bytes, secret: str) -> None:
    header = signature_of(body, secret)
    assert is_signed(body, header, secret)
    assert is_signed(other, header, secret) == (other == body)
    assert not is_signed(body, header, secret + "x")
    assert not is_signed(body, header.removeprefix("sha256="), secret)
    assert not is_signed(body, "", secret)


@pytest.mark.parametrize(("seconds", "fine"), [(0, True), (30, True), (31, False), (-5, True), (-6, False)])
def test_alerts_have_an_age(seconds: float, fine: bool) -> None:
    assert (age_objection(NOW - timedelta(seconds=seconds), NOW, 30.0) is None) == fine
