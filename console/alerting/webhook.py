"""Alerts over HTTP: each is signed, sent until it is taken, and never waited for by the rules.

The webhook is a consumer group of the alerts topic with a handler, so what was not taken before a crash is sent again.
"""

import hashlib
import hmac
from collections.abc import Hashable
from datetime import datetime, timedelta

import structlog
from pydantic import ValidationError

from console.alerting.reading import instant_of
from runtime.http import DEADLINE, MAX_BYTES, AsyncBaseTransport, EgressRefusedError, HTTPError, Request
from runtime.outcome import GiveUp, Outcome, Publish, RetryAt
from runtime.ports import Clock, Delivery, Dice, Record
from schemas.alerts import Alert
from schemas.failure import FailureKind

log = structlog.get_logger("novix.alerts")

GROUP = "novix-alerts"
SIGNATURE = "novix-signature"
"""Header: `t=1795348800,v1=` and the HMAC-SHA256, hex, over `{t}.{body}` with NOVIX_WEBHOOK_SECRET."""
IDEMPOTENCY = "idempotency-key"
"""Header: the alert's id and state. The same alert, sent again, has the same."""
UNTIL = timedelta(hours=6)
"""After it was told, an alert is not sent any more; it is set aside as a dead letter."""
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=1), timedelta(minutes=5)
CALL_S = 10.0
ANSWER_BYTES = 65_536
FOR_EVER = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 431, 451, 501, 505})
"""Answers that a later try does not change."""


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The value of `novix-signature`. The timestamp is signed, so that a receiver can refuse what is sent again later
    by somebody who saw it: the form of Stripe's and GitHub's webhooks together."""
    digest = hmac.new(secret.encode(), b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def wait_after(attempt: int, jitter: float) -> timedelta:
    """`min(LONGEST_WAIT, FIRST_WAIT * 2 ** (attempt - 1)) * jitter`, jitter from 0.5 to 1: backoff with equal jitter
    ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015)."""
    longest: timedelta = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(attempt - 1, 20))
    return longest * (0.5 + jitter / 2)


def in_order_of(record: Record) -> Hashable | None:
    """An alert's end is sent after its beginning."""
    return record.key


class Webhook:
    """The handler. Sends each alert that wants to be sent to one address; without one, all are done at once.

    A redirect is a failure as any other answer but 2xx. What the receiver answers is not kept.
    """

    def __init__(self, url: str, secret: str, transport: AsyncBaseTransport, clock: Clock, dice: Dice) -> None:
        self._url = url
        self._secret = secret
        self._transport = transport
        self._clock = clock
        self._dice = dice
        self.delivered = self.undelivered = 0

    async def handle(self, delivery: Delivery) -> Outcome:
        """Send one alert, or say when to try again."""
        record = delivery.record
        try:
            alert = Alert.model_validate_json(record.value or b"")
        except ValidationError:
            return Publish()
        if not self._url or not alert.webhook:
            return Publish()
        now = self._clock.now()
        if now - instant_of(record) > UNTIL:
            return self._give_up(FailureKind.DEADLINE_PASSED, f"not taken within {UNTIL}")
        why = await self.send(alert, now)
        if why is None:
            self.delivered += 1
            return Publish()
        kind, message, again = why
        if not again:
            return self._give_up(kind, message)
        when = now + wait_after(delivery.attempt, self._dice())
        return RetryAt(when, kind)

    async def send(self, alert: Alert, now: datetime) -> tuple[FailureKind, str, bool] | None:
        """One call. None if it was taken; else what went wrong, and whether to try again. Never raises for what the
        receiver or the network does."""
        body = alert.encode()
        timestamp = int(now.timestamp())
        fields = {
            "content-type": "application/json",
            "user-agent": "novix-alerts",
            IDEMPOTENCY: f"{alert.alert_id}.{alert.state}",
        }
        if self._secret:
            fields[SIGNATURE] = signature(self._secret, timestamp, body)
        request = Request("POST", self._url, headers=fields, content=body)
        request.extensions.update({DEADLINE: CALL_S, MAX_BYTES: ANSWER_BYTES})
        try:
            response = await self._transport.handle_async_request(request)
            await response.aclose()
        except EgressRefusedError as error:
            return FailureKind.EGRESS_REFUSED, str(error)[:200], False
        except HTTPError as error:
            return FailureKind.CONNECT_FAILED, type(error).__name__, True
        if 200 <= response.status_code < 300:
            return None
        message = f"the receiver answered {response.status_code}"
        return FailureKind.PROVIDER_ERROR, message, response.status_code not in FOR_EVER

    def _give_up(self, kind: FailureKind, message: str) -> GiveUp:
        self.undelivered += 1
        log.warning("alert.undelivered", kind=kind, reason=message)
        return GiveUp(kind, f"alert not delivered: {message}")
