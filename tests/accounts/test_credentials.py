"""Credentials at rest: what opens, where, with which key."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.credentials import CredentialError, UnknownKey, decrypt, encrypt, key_id_of

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = {"table": "accounts_tradingaccount", "pk": 7, "field": "password_encrypted"}


def sealed(secret: str = "s3cret", keys: dict[str, bytes] | None = None) -> str:
    return encrypt(secret, table="accounts_tradingaccount", pk=7, field="password_encrypted", keys=keys or {"old": OLD})


def opened(value: str, keys: dict[str, bytes] | None = None, **place: object) -> str:
    return decrypt(value, **{**PLACE, **place}, keys=keys or {"old": OLD})  # type: ignore[arg-type]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=128))
def test_what_was_sealed_opens_and_is_not_seen(secret: str) -> None:
    value = sealed(secret)
    assert opened(value) == secret
    assert len(secret) < 4 or secret not in value


def test_the_same_secret_looks_different_each_time() -> None:
    assert sealed() != sealed()


@pytest.mark.parametrize("place", [{"pk": 8}, {"table": "accounts_user"}, {"field": "other"}])
def test_a_value_moved_to_another_place_does_not_open(place: dict[str, Any]) -> None:
    with pytest.raises(CredentialError, match="belongs to another row"):
        opened(sealed(), **place)


def test_the_first_key_seals_and_older_ones_still_open() -> None:
    ring = {"new": NEW, "old": OLD}
    before = sealed(keys={"old": OLD})
    after = sealed(keys=ring)
    assert (key_id_of(before), key_id_of(after)) == ("old", "new")
    assert opened(before, ring) == opened(after, ring) == "s3cret"


def test_a_key_that_is_gone_is_named() -> None:
    with pytest.raises(UnknownKey, match=r"'old'.*TRADING_CREDENTIAL_KEYS"):
        opened(sealed(), {"new": NEW})


def test_another_key_under_the_same_id_does_not_open() -> None:
    with pytest.raises(CredentialError):
        opened(sealed(), {"old": NEW})


@pytest.mark.parametrize("position", range(0, 40, 3))
def test_a_changed_byte_is_noticed(position: int) -> None:
    head, _, encoded = sealed().rpartition(":")
    raw = bytearray(base64.urlsafe_b64decode(encoded))
    raw[position % len(raw)] ^= 1
    with pytest.raises(CredentialError):
        opened(f"{head}:{base64.urlsafe_b64encode(bytes(raw)).decode()}")


@pytest.mark.parametrize(
    "value", ["", "s3cret", "v1", "v1:old", "v1:old:", "v1:old:!!", "v1:old:AAAA", "v2:old:AAAA", "v1::x"]
)
def test_what_is_no_sealed_value_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(CredentialError) as refused:
        opened(value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("ring", [{"": OLD}, {"a:b": OLD}, {"short": b"x" * 31}])
def test_an_unusable_key_ring_is_refused(ring: dict[str, bytes]) -> None:
    with pytest.raises(CredentialError, match="key"):
        sealed(keys=ring)
    with pytest.raises(CredentialError, match="TRADING_CREDENTIAL_KEYS"):
        encrypt("x", table="t", pk=1, field="f", keys={})
