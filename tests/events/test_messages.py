"""Whatever a client of the live socket says: obeyed, or refused in a frame; nothing escapes."""

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from events.consumers import LiveConsumer

WORDS = st.sampled_from(["type", "n", "accounts", "kinds", "ack", "subscribe", "snapshot", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.dictionaries(WORDS, VALUES, max_size=4).map(json.dumps) | st.text(max_size=40)


@settings(max_examples=500)
@given(message=MESSAGES | st.binary(max_size=40))
def test_whatever_a_client_says_is_obeyed_or_refused_in_a_frame(message: str | bytes) -> None:
    said: list[dict[str, Any]] = []

    async def keep(frame: dict[str, Any]) -> None:
        said.append(frame)

    async def hear() -> LiveConsumer:
        consumer = LiveConsumer()
        consumer.base_send = keep
        if isinstance(message, str):
            await consumer.receive(text_data=message)
        else:
            await consumer.receive(bytes_data=message)
        return consumer

    followed = asyncio.run(hear())._only_accounts
    assert all(json.loads(frame["text"])["type"] == "error" for frame in said)
    assert followed is None or all(0 < n < 2**53 for n in followed)
