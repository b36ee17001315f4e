"""Who sent an alert and how old it is: pure checks."""

import hashlib
import hmac
import re
from datetime import datetime, timedelta

SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
# A sender's clock may run before ours by so much
AHEAD_MAX = timedelta(seconds=5)


def signature_of(body: bytes, secret: str) -> str:
    """Return the header that signs a body: `sha256=` and the HMAC-SHA256 of the exact bytes, in hex."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def is_signed(body: bytes, header: str, secret: str) -> bool:
    """Tell whether a header signs these bytes, in a time that does not tell how much of it is right."""
    return SIGNATURE.fullmatch(header) is not None and hmac.compare_digest(header, signature_of(body, secret))


def age_objection(sent_at: datetime, now: datetime, max_age_s: float) -> str | None:
    """Say why an alert of that time is not followed now, or None."""
    if sent_at > now + AHEAD_MAX:
        return f"it is dated {(sent_at - now).total_seconds():.0f} s in the future: set the sender's clock"
    age = (now - sent_at).total_seconds()
    return f"it is {age:.0f} s old, and at most {max_age_s:g} s are followed" if age > max_age_s else None
