"""`novix endpoints`: orders onto the topic, their answers, the list, quotas. Kafka is in memory; the controller that
answers is the real one, on a management API that is scripted."""

import json
from typing import Any

import pytest
from endpoints_world import BEGIN, Clock, spec_of, state_of

from hub.endpoints.controller import Controller
from hub.endpoints.wire import Machine, Seen, body_of
from runtime.outcome import Publish
from runtime.ports import Delivery, Outgoing, Record
from schemas.endpoints import EndpointCommand, EndpointQuota, EndpointState
from schemas.topics import ENDPOINT_COMMANDS, ENDPOINT_QUOTAS, ENDPOINTS

L4 = ("aws", "us-east-1", "nvidia-l4", "x1")


class Scripted:
    """A management API that does what it is told at once."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []

    async def get(self, namespace: str, name: str) -> Seen | None:
        document = self.there.get(name)
        return None if document is None else self._seen(name, document)

    async def create(self, spec: Any) -> Seen:
        self.made.append("create")
        self.there[spec.name] = {"state": "pending", **body_of(spec)}
        return self._seen(spec.name, self.there[spec.name])

    async def update(self, spec: Any) -> Seen:
        self.made.append("update")
        self.there[spec.name] = {"state": "updating", **body_of(spec)}
        return self._seen(spec.name, self.there[spec.name])

    async def delete(self, namespace: str, name: str) -> None:
        self.made.append("delete")
        del self.there[name]

    async def pause(self, namespace: str, name: str) -> Seen:
        return self._moved("pause", name, "paused")

    async def resume(self, namespace: str, name: str) -> Seen:
        return self._moved("resume", name, "pending")

    async def scale_to_zero(self, namespace: str, name: str) -> Seen:
        return self._moved("scale_to_zero", name, "scaledToZero")

    async def machines(self) -> dict[Any, Machine]:
        return {L4: Machine(800_000_000, "available", 16, 0)}

    def _moved(self, how: str, name: str, state: str) -> Seen:
        self.made.append(how)
        self.there[name]["state"] = state
        return self._seen(name, self.there[name])

    def _seen(self, name: str, document: dict[str, Any]) -> Seen:
        return Seen(name, "id-1", document["state"], None, None, 0, 1, "", None, "/health", document)


@pytest.fixture
def api(log) -> Scripted:
    """The controller behind the topic: it answers each order as it is published."""
    api, clock = Scripted(), Clock()

    async def publish(records: list[Outgoing]) -> None:
        raise AssertionError("an order is answered in its transaction")

    controller = Controller(api, publish, clock)  # type: ignore[arg-type]

    def answered(outgoing: Outgoing, place: tuple[int, int]) -> list[Outgoing]:
        record = Record(outgoing.topic, 0, place[1], outgoing.key, outgoing.value, (), int(BEGIN.timestamp() * 1_000))
        if outgoing.topic == ENDPOINT_QUOTAS.name:
            controller.fold_quota(record)
        if outgoing.topic != ENDPOINT_COMMANDS.name:
            return []
        with pytest.raises(StopIteration) as done:  # nothing of it waits
            controller.handle(Delivery(record, BEGIN)).send(None)
        assert isinstance(done.value.value, Publish)
        return list(done.value.value.records)

    log.on_publish = answered
    return api


def told(done: Any) -> Any:
    """The JSON answer; the controller of this test logs beside it."""
    return json.loads(done.stdout.splitlines()[-1])


def commands(log) -> list[EndpointCommand]:
    return [EndpointCommand.model_validate_json(one.value) for one in log.records.get((ENDPOINT_COMMANDS.name, 0), [])]


def create(novix, name: str = "small", *more: str):
    return novix(
        "endpoints", "create", f"acme/{name}", "--model", "acme/model", "--task", "text-generation", "--instance",
        "nvidia-l4/x1", *more, "--json",
    )  # fmt: skip


def test_an_endpoint_is_made_when_a_quota_allows_it_and_refused_with_the_numbers_when_not(novix, api, log):
    refused = create(novix)
    assert refused.exit_code == 1
    assert "tenant default has 0 endpoints and may have 0" in told(refused)["reason"]
    assert api.made == []

    assert novix("endpoints", "quota", "--tenant", "default", "--most", "1", "--per-hour", "1.5").exit_code == 0
    made = create(novix)
    assert made.exit_code == 0, made.output
    assert told(made)["outcome"] == "done"
    second = create(novix, "second")
    assert "has 1 endpoints and may have 1" in told(second)["reason"]
    assert api.made == ["create"]


def test_every_order_says_who_gave_it_and_why_and_is_made_once(novix, api, log):
    novix("endpoints", "quota", "--tenant", "*", "--most", "3")
    create(novix)
    for order in ("pause", "resume", "sleep", "delete"):
        api.there["small"]["state"] = "paused" if order == "resume" else "running"
        done = novix("endpoints", order, "acme/small", "--why", "a test", "--id", f"{order}-1")
        assert done.exit_code == 0, done.output
        again = novix("endpoints", order, "acme/small", "--why", "a test", "--id", f"{order}-1")
        assert again.exit_code == (0 if order != "delete" else 3), again.output
    assert api.made == ["create", "pause", "resume", "scale_to_zero", "delete"]
    assert {one.reason for one in commands(log)} == {"", "a test"}
    assert all(one.by.startswith("novix endpoints") for one in commands(log))


def test_an_update_keeps_what_is_not_named(novix, api, log):
    novix("endpoints", "quota", "--tenant", "*", "--most", "3")
    create(novix, "small", "--batch-wait", "60", "--region", "us-east-1")
    assert novix("endpoints", "update", "acme/small", "--max-replicas", "2", "--revision", "abc").exit_code == 0
    spec = commands(log)[-1].spec
    assert spec is not None
    assert (spec.scaling.max_replicas, spec.scaling.batch_wait_s, spec.revision, spec.model) == (
        2, 60, "abc", "acme/model",
    )  # fmt: skip


def test_the_list_and_one_endpoint_are_what_the_topic_says(novix, log):
    state = state_of(
        "running", spec_of(tenant="vision"), waiting=4, message="fine", measured={"attempts": 4, "succeeded": 3},
        costs={"nanousd_per_hour": 800_000_000, "total_nanousd": 40_000_000, "billed_s": 180, "since": BEGIN},
    )  # fmt: skip
    log.append(Outgoing(ENDPOINTS.name, b"acme/small", state.encode(), partition=0))
    log.append(Outgoing(ENDPOINTS.name, b"acme/bad", b"no json", partition=0))
    (listed,) = json.loads(novix("endpoints", "list", "--json").stdout)
    assert EndpointState.model_validate(listed) == state
    assert "running, not ready" in novix("endpoints", "list").stdout
    assert json.loads(novix("endpoints", "list", "--tenant", "other", "--json").stdout) == []
    shown = novix("endpoints", "show", "acme/small").stdout
    assert "cost $0.04 for 3 replica-minutes" in shown
    assert "75.0% of 4 calls" in shown
    assert novix("endpoints", "show", "acme/none").exit_code == 3


def test_a_hostile_text_from_the_provider_moves_no_terminal(novix, log):
    state = state_of("failed", message="\x1b[2J\x1b]0;owned\x07 failed")
    log.append(Outgoing(ENDPOINTS.name, b"acme/small", state.encode(), partition=0))
    for command in (("list",), ("show", "acme/small")):
        assert "\x1b" not in novix("endpoints", *command).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pause", "no-slash"), "NAMESPACE/NAME"),
        (("pause", "a/b/c"), "NAMESPACE/NAME"),
        (("pause", "acme/none"), "no endpoint"),
        (("show", "../../etc"), "no endpoint"),
        (("create", "acme/UPPER", "--model", "m", "--task", "t", "--instance", "i"), "name"),
        (("create", "acme/x", "--model", "m", "--task", "t", "--instance", "i", "--accelerator", "tpu"), "accelerator"),
        (
            ("create", "acme/x", "--model", "m", "--task", "t", "--instance", "i", "--sleep-after", "-1"),
            "--sleep-after",
        ),
        (
            ("create", "acme/x", "--model", "m", "--task", "t", "--instance", "i", "--min-replicas", "3"),
            "min_replicas is 3",
        ),
        (("quota", "--tenant", "a/b", "--most", "1"), "tenant"),
        (("quota", "--tenant", "a", "--per-hour", "lots"), "--per-hour"),
    ],
)
def test_an_order_that_cannot_be_is_refused_before_it_is_published(novix, log, arguments: tuple[str, ...], words: str):
    done = novix("endpoints", *arguments)
    assert done.exit_code in (2, 3), done.output
    assert words in done.output
    assert commands(log) == []


def test_an_order_that_nobody_answers_ends_after_its_wait(novix, log):
    log.append(Outgoing(ENDPOINTS.name, b"acme/small", state_of("running").encode(), partition=0))
    done = novix("endpoints", "pause", "acme/small", "--wait", "0.3")
    assert done.exit_code == 3
    assert novix("endpoints", "pause", "acme/small", "--wait", "0").exit_code == 0
    assert len(commands(log)) == 2


def test_a_quota_is_everybodys_until_one_has_a_quota_of_ones_own(novix, log):
    novix("endpoints", "quota", "--tenant", "*", "--most", "2", "--per-hour", "5")
    held = json.loads(novix("endpoints", "quota", "--tenant", "vision", "--json").stdout)
    assert (held["most"], held["nanousd_per_hour"]) == (2, 5_000_000_000)
    novix("endpoints", "quota", "--tenant", "vision", "--most", "7", "--per-hour", "none")
    held = json.loads(novix("endpoints", "quota", "--tenant", "vision", "--json").stdout)
    assert (held["most"], held["nanousd_per_hour"]) == (7, None)
    novix("endpoints", "quota", "--tenant", "vision", "--remove")
    held = json.loads(novix("endpoints", "quota", "--tenant", "vision", "--json").stdout)
    assert held["most"] == 2
    records = log.records[(ENDPOINT_QUOTAS.name, 0)]
    assert [one.value is None for one in records] == [False, False, True]
    assert EndpointQuota.model_validate_json(records[0].value or b"").by.startswith("novix endpoints quota")
