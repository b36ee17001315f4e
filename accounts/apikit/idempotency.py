"""Idempotency-Key: a POST that can lead to an order is carried out once for each key, however often it comes.

The key's row is written first. Whoever holds the row's lock carries the request out, and its effects and its stored
answer commit together: a process that dies in between leaves neither, and the next try carries it out. A second try
while the first runs gets a 409, the same key with another body a 422, and so does a key that is weeks old: its request
was meant for another time.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, TypeVar, cast

from django.db import OperationalError, connection, transaction
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from accounts.adminkit import CLOCK
from accounts.apikit.auth import user_of
from accounts.apikit.exceptions import Conflict, KeyReused
from accounts.models import ApiRequest, ApiToken

HEADER = "Idempotency-Key"
KEY = re.compile(r"[!-~]{8,80}")
# An answer is given again for so long; the key itself is known for ever, so that no old request trades once more
REPLAYED = timedelta(days=30)
# Requests of one person that can lead to an order, in a minute; counted under a lock, so exactly
PER_MINUTE = 60
RATE_LOCK = 0x4150
F = TypeVar("F", bound=Callable[..., Response])


def idempotent(method: F) -> F:
    """Require an Idempotency-Key of a view's POST method, and carry each key out once."""

    @wraps(method)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = str(request.headers.get(HEADER, ""))
        if not KEY.fullmatch(key):
            raise ValidationError({HEADER: ["Send this header with 8 to 80 visible ASCII characters, new each time."]})
        if not int(request.META.get("CONTENT_LENGTH") or 0):
            raise ValidationError({"non_field_errors": ["Send a JSON object; {} is one without fields."]})
        row = _row(request, key)
        with transaction.atomic():
            held = _hold(row.pk)
            if held.route != row.route or held.body_hash != row.body_hash:
                raise KeyReused
            if held.created_at < CLOCK.now() - REPLAYED:
                raise KeyReused(f"This Idempotency-Key is older than {REPLAYED.days} days. Use a new key.")
            if held.status is not None:
                return Response(held.answer, status=held.status, headers={"Idempotent-Replay": "true"})
            answer = method(view, request, *args, **kwargs)
            held.status, held.answer = answer.status_code, json.loads(json.dumps(answer.data, cls=JSONEncoder))
            held.save(update_fields=["status", "answer"])
            return answer

    once.takes_key = True  # type: ignore[attr-defined]
    return cast(F, once)


def _row(request: Request, key: str) -> ApiRequest:
    """Write the key down, or return what this request would have been written as."""
    user, at = user_of(request), CLOCK.now()
    token = request.auth if isinstance(request.auth, ApiToken) else None
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    wanted = ApiRequest(
        user=user,
        token=token,
        key=key,
        route=f"{request.method} {request.path}"[:200],
        body_hash=hashlib.sha256(body.encode()).hexdigest(),
        created_at=at,
    )
    known = ApiRequest.objects.filter(user=user, token=token, key=key)
    wanted.pk = known.values_list("pk", flat=True).first()
    if wanted.pk is None:
        with transaction.atomic():
            _limit(user.pk, at)
            ApiRequest.objects.bulk_create([wanted], ignore_conflicts=True)
        wanted.pk = known.values_list("pk", flat=True).get()
    return wanted


def _limit(user_id: int, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [RATE_LOCK, user_id])
    recent = ApiRequest.objects.filter(user_id=user_id, created_at__gt=at - timedelta(minutes=1))
    if recent.count() >= PER_MINUTE:
        raise Throttled(wait=60, detail=f"At most {PER_MINUTE} of these requests a minute.")


def _hold(pk: int) -> ApiRequest:
    """Lock the key's row until the transaction ends. Raises Conflict while another request holds it."""
    try:
        # A savepoint: the refusal to wait must not break the transaction that reports it
        with transaction.atomic():
            return ApiRequest.objects.select_for_update(nowait=True).get(pk=pk)
    except OperationalError as problem:
        if getattr(problem.__cause__, "sqlstate", "") != "55P03":
            raise
        raise Conflict("The first request with this key is still under way.", code="in_flight") from None
