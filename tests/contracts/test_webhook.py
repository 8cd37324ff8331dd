"""The webhook on loopback: what is sent, when it is sent again, and when not."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from console.alerting.service import webhook_of
from console.alerting.webhook import UNTIL, Webhook, signature, wait_after
from runtime.http import Egress, HttpLimits, HttpTransport
from runtime.outcome import GiveUp, Publish, RetryAt
from runtime.ports import Delivery, Record
from runtime.settings import BadSettings, load
from schemas.alerts import Alert

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "whsec-canary"
ALERT = Alert(
    alert_id="a1", rule="budget", on="budget", tenant="acme", subject="budget main of acme, 2026-11 at 80 %",
    value=80.1, threshold=80, unit="%", message="budget main: $8.01 of $10.00 spent", at=NOW,
)  # fmt: skip


@dataclass
class Receiver:
    """Somebody's server: takes what is sent and answers as it is told, one status after the other."""

    answers: list[int] = field(default_factory=lambda: [204])
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        fields = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((request.path, fields, await request.read()))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, headers={"location": "/elsewhere"} if 300 <= status < 400 else {})


@asynccontextmanager
async def receiving(*answers: int):
    receiver = Receiver(list(answers or (204,)))
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Noon:
    now_is = NOW

    def now(self):
        return self.now_is

    def monotonic(self):
        return 0.0

    async def sleep(self, seconds):
        raise AssertionError("the engine rests, not the webhook")


@pytest.fixture
async def hook():
    """Makes webhooks, and closes what they send with."""
    async with AsyncExitStack() as stack:

        async def made(
            url: str, *, secret: str = SECRET, egress: Egress | None = None, clock: Noon | None = None
        ) -> Webhook:
            transport = HttpTransport(egress or Egress([url] if url else []), limits=HttpLimits(connect_s=1, read_s=1))
            await stack.enter_async_context(transport)
            return Webhook(url, secret, transport, clock or Noon(), lambda: 0.0)

        yield made


def delivery(alert: Alert = ALERT, *, attempt: int = 1, at: datetime = NOW) -> Delivery:
    record = Record("novix.alerts.v1", 0, 7, b"a1", alert.encode(), (), int(at.timestamp() * 1000))
    return Delivery(record, NOW, attempt)


def documented() -> Callable[[str, bytes, str, float], bool]:
    """The receiver's side as docs/alerts.md writes it."""
    page = (Path(__file__).parents[2] / "docs/alerts.md").read_text()
    names: dict = {"hmac": hmac, "hashlib": hashlib}
    exec(page.partition("```python\n")[2].partition("```")[0], names)  # noqa: S102 - it is ours, and read as it stands
    return names["is_ours"]


async def test_an_alert_is_sent_as_it_stands_on_the_topic_with_a_signature_that_the_documented_lines_verify(hook):
    async with receiving() as receiver:
        assert await (await hook(receiver.url)).handle(delivery()) == Publish()
    [(path, fields, body)] = receiver.requests

    assert path == "/hook"
    assert Alert.model_validate_json(body) == ALERT
    is_ours, header, now = documented(), fields["novix-signature"], NOW.timestamp()
    assert is_ours(header, body, SECRET, now)
    assert is_ours(header, body, SECRET, now + 299)
    assert not is_ours(header, body, SECRET, now + 301)
    assert not is_ours(header, body, "another", now)
    assert not is_ours(header, body + b" ", SECRET, now)
    assert not is_ours(header.replace("t=1", "t=2"), body, SECRET, now + 10**9)
    assert fields["idempotency-key"] == "a1.firing"
    assert fields["content-type"] == "application/json"


def test_the_signature_is_that_of_another_implementation():
    """`printf '1795348800.{}' | openssl dgst -sha256 -hmac key`."""
    assert signature("key", 1_795_348_800, b"{}") == (
        "t=1795348800,v1=706f545aa9e881001584ac8eec5613f4e7a75ff82cc78f43673f88f69b8c3c6d"
    )
    assert signature("other", 1_795_348_800, b"{}") != signature("key", 1_795_348_800, b"{}")


async def test_a_receiver_that_fails_is_asked_again_with_the_same_idempotency_key_until_it_takes_it(hook):
    async with receiving(500, 429, 200) as receiver:
        sender = await hook(receiver.url)
        first, second, third = [await sender.handle(delivery(attempt=number)) for number in (1, 2, 3)]

    assert isinstance(first, RetryAt)
    assert first.when == NOW + timedelta(seconds=0.5)
    assert isinstance(second, RetryAt)
    assert second.when == NOW + timedelta(seconds=1)
    assert third == Publish()
    assert {fields["idempotency-key"] for _, fields, _ in receiver.requests} == {"a1.firing"}
    assert (sender.delivered, sender.undelivered) == (1, 0)


@pytest.mark.parametrize("how", ["silent", "endless", "huge", "headers", "garbage"])
async def test_a_hostile_receiver_costs_one_call_of_bounded_time_and_memory(hook, how, monkeypatch):
    """None of its answer is read but the head."""
    monkeypatch.setattr("console.alerting.webhook.CALL_S", 0.3)
    heads = {
        "silent": b"", "endless": b"HTTP/1.1 200 OK\r\n\r\n",
        "huge": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "headers": b"HTTP/1.1 200 OK\r\n", "garbage": b"\x00\xff" * 9 + b"\r\n\r\n",
    }  # fmt: skip
    sent = 0

    async def answer(reader, writer):
        nonlocal sent
        await reader.readuntil(b"}")
        writer.write(heads[how])
        try:
            while how in ("endless", "huge", "headers"):
                writer.write(b"x: " + b"y" * 1_000 + b"\r\n" if how == "headers" else b"y" * 65_536)
                sent += 1
                await writer.drain()
            await reader.read()
        except ConnectionError:
            pass
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        outcome = await (await hook(f"http://{host}:{port}/hook")).handle(delivery())
    expected = Publish if how in ("endless", "huge") else RetryAt
    assert isinstance(outcome, expected)
    assert sent < 10_000


async def test_a_redirect_is_not_followed_and_is_a_failure(hook):
    async with receiving(302) as receiver:
        assert isinstance(await (await hook(receiver.url)).handle(delivery()), RetryAt)
    assert [path for path, _, _ in receiver.requests] == ["/hook"]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_refusal_for_ever_is_not_sent_again_and_is_told_without_content(hook, status):
    async with receiving(status) as receiver:
        given_up = await (await hook(receiver.url)).handle(delivery())

    assert isinstance(given_up, GiveUp)
    assert given_up.message == f"alert not delivered: the receiver answered {status}"


async def test_a_receiver_that_is_away_is_asked_again_and_given_up_after_its_deadline(hook):
    async with receiving() as receiver:
        pass
    clock = Noon()
    sender = await hook(receiver.url, clock=clock)
    assert isinstance(await sender.handle(delivery()), RetryAt)
    clock.now_is = NOW + UNTIL + timedelta(seconds=1)
    assert isinstance(await sender.handle(delivery()), GiveUp)
    assert sender.undelivered == 1


async def test_an_address_that_calls_may_not_go_to_is_given_up_at_once(hook):
    async with receiving() as receiver:
        sender = await hook(receiver.url, egress=Egress(["https://hooks.example.com"]))
        assert isinstance(await sender.handle(delivery()), GiveUp)
    assert receiver.requests == []


async def test_without_an_address_and_for_an_alert_that_wants_none_nothing_is_sent(hook):
    async with receiving() as receiver:
        assert await (await hook("")).handle(delivery()) == Publish()
        silent = ALERT.model_copy(update={"webhook": False})
        assert await (await hook(receiver.url)).handle(delivery(silent)) == Publish()
        broken = Record("novix.alerts.v1", 0, 1, None, b"no alert", (), 0)
        assert await (await hook(receiver.url)).handle(Delivery(broken, NOW)) == Publish()
    assert receiver.requests == []


async def test_without_a_secret_nothing_claims_to_be_signed(hook):
    async with receiving() as receiver:
        await (await hook(receiver.url, secret="")).handle(delivery())
    [(_, fields, _)] = receiver.requests
    assert "novix-signature" not in fields


@pytest.mark.parametrize("url", ["http://ex\n.com/CANARY", "http://xn--\u00fc/CANARY"])
def test_an_address_that_is_none_refuses_the_start_and_is_not_repeated(url):
    with pytest.raises(BadSettings, match="NOVIX_WEBHOOK_URL") as refused:
        webhook_of(load({"NOVIX_WEBHOOK_URL": url}).settings)
    assert "CANARY" not in str(refused.value)


def test_waits_grow_from_half_a_second_to_five_minutes():
    waits = [wait_after(attempt, 1.0).total_seconds() for attempt in (1, 2, 3, 9, 10, 1_000)]
    assert waits == [1, 2, 4, 256, 300, 300]
    assert wait_after(1, 0.0).total_seconds() == 0.5


def test_the_command_that_tries_the_webhook_names_what_is_missing(novix):
    done = novix("alerts", "test")
    assert done.exit_code == 2
    assert "NOVIX_WEBHOOK_URL" in done.stderr


def test_rules_and_alerts_are_listed_and_a_rule_that_was_set_takes_its_place(novix, log):
    from runtime.ports import Outgoing
    from schemas.topics import ALERTS

    log.append(Outgoing(ALERTS.name, b"a1", ALERT.encode()))
    assert novix("alerts", "set", "dead-letters", "--threshold", "7").exit_code == 0
    assert novix("alerts", "set", "mine", "--threshold", "7").exit_code == 3
    assert novix("alerts", "set", "mine", "--on", "nothing").exit_code == 2
    too_long = novix("alerts", "set", "lag", "--window", "14401")
    assert (too_long.exit_code, "14400 s are remembered" in too_long.stderr) == (2, True)
    for threshold in ("nan", "inf", "-1", "1e19"):
        assert novix("alerts", "set", "lag", f"--threshold={threshold}").exit_code == 2
    rules = {rule["id"]: rule for rule in json.loads(novix("alerts", "rules", "--json").stdout)}
    told = json.loads(novix("alerts", "list", "--firing", "--json").stdout)

    assert (rules["dead-letters"]["threshold"], rules["dead-letters"]["window_s"]) == (7, 300)
    assert [alert["alert_id"] for alert in told] == ["a1"]


def test_slo_counts_results_by_tier_and_fails_where_an_objective_is_missed(novix, log):
    from runtime.ports import Outgoing
    from schemas.accounts import AccountRecord
    from schemas.topics import BUDGETS, RESULTS

    tenant = {"kind": "tenant", "at": NOW, "tenant": "acme", "tier": "standard"}
    log.append(Outgoing(BUDGETS.name, b"k", AccountRecord.model_validate({"event": tenant}).encode(), partition=0))
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    for number in range(1_000):
        bad = number in (3, 500)
        result = {"tenant": "acme", "job_id": str(number), "status": "failed" if bad else "succeeded"}
        result["error"] = {"kind": "provider_error"} if bad else None
        log.append(Outgoing(RESULTS.name, b"acme/%d" % number, json.dumps(result).encode(), timestamp_ms=now_ms))
    done = novix("slo", "--since", "1h", "--json")

    [tier] = json.loads(done.stdout)
    assert (tier["name"], tier["availability"], tier["objective_ppm"], tier["missed"]) == (
        "standard",
        0.998,
        999_000,
        True,
    )
    assert done.exit_code == 1
