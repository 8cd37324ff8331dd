"""`novix breakers`: the newest word on each provider, as it stands now."""

import json
from datetime import UTC, datetime, timedelta

from runtime.ports import Outgoing
from schemas.breakers import BreakerState
from schemas.topics import BREAKERS

NOW = datetime.now(UTC)


def tell(log, model: str, state: str, **more):
    told = BreakerState(provider="together", model=model, state=state, at=NOW, by="workers/1", **more)
    log.append(Outgoing(BREAKERS.name, f"together/{model}".encode(), told.encode()))


def test_the_newest_record_of_each_key_is_shown_with_who_and_why(novix, log):
    tell(log, "qwen", "closed")
    tell(log, "qwen", "open", retry_at=NOW + timedelta(hours=1), because="3 failures in a row, the last: timeout")
    tell(log, "llama", "closed", held_until=NOW + timedelta(hours=1))
    log.append(Outgoing(BREAKERS.name, b"x", b"no json"))

    done = novix("breakers")

    llama, qwen = (line.split("\t") for line in done.stdout.splitlines())
    assert (llama[:2], qwen[:2]) == (["together/llama", "closed"], ["together/qwen", "open"])
    assert llama[3] == "-"
    assert llama[4] == f"{NOW + timedelta(hours=1):%Y-%m-%d %H:%M:%S} UTC"
    assert qwen[5:] == ["workers/1", "3 failures in a row, the last: timeout"]


def test_an_open_breaker_whose_time_has_come_is_half_open_and_a_hold_that_is_over_is_none(novix, log):
    tell(log, "qwen", "open", retry_at=NOW - timedelta(hours=1), held_until=NOW - timedelta(hours=1))

    [told] = json.loads(novix("breakers", "--json").stdout)

    assert (told["state"], told["held_until"]) == ("half-open", None)
    assert BreakerState.model_validate(told).since == NOW


def test_with_nothing_told_it_says_so_and_succeeds(novix, log):

    done = novix("breakers", "--json")

    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
