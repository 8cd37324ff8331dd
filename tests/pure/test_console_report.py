"""What `novix status` makes of what processes tell."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.report import ill_lanes, lines, open_breakers, remembered
from schemas.breakers import BreakerState

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["lanes", "dedup", "x"]), inner),
    max_leaves=20,
)


def told(model: str = "m", provider: str = "p", **more: object) -> bytes:
    state = {"provider": provider, "model": model, "state": "open", "at": NOW, "by": "novix-worker-text/host-0", **more}
    return BreakerState.model_validate({**state, "at": NOW.isoformat()}).encode()


def test_lanes_that_stopped_or_are_stuck_are_found_in_every_service_of_a_process():
    lane = {"lane": "novix-router.inference.jobs.v1.0", "state": "stuck", "reason": "commit: nothing for 120 s"}
    healthz = {
        "process": "router",
        "router": {"lanes": [lane, {"lane": "other", "state": "open", "reason": None}]},
        "retry-5s": {"lanes": [{"lane": "third", "state": "stopped", "reason": "PositionLost"}]},
    }

    assert [one["lane"] for one in ill_lanes(healthz)] == [lane["lane"], "third"]
    assert lines(ill_lanes(healthz), [], [])[0] == f"lane {lane['lane']} is stuck: {lane['reason']}"


def test_how_far_back_ids_are_known_is_told_with_the_bound_that_holds():
    entry = {"partition": 2, "identities": 7, "since": "2026-11-21T12:00:00+00:00", "bound": "24 h"}

    found = remembered({"router": {"dedup": [entry], "lanes": []}})

    assert found == [entry]
    assert lines([], found, []) == ["ids remembered in partition 2: 7, since 2026-11-21T12:00:00+00:00 (bound: 24 h)"]
    assert "none yet" in lines([], [{**entry, "since": None}], [])[0]


def test_the_newest_word_on_each_breaker_counts():
    values = [told("a"), told("b", retry_at=(NOW + timedelta(seconds=9)).isoformat()), told("a", state="closed")]

    (found,) = open_breakers(values, NOW)

    assert (found["model"], found["state"]) == ("b", "open")
    assert "breaker of p/b is open" in lines([], [], [found])[0]


def test_a_breaker_whose_time_is_over_and_a_hold_that_has_passed_are_left_out():
    past, coming = ((NOW + timedelta(seconds=s)).isoformat() for s in (-1, 1))
    values = [
        told("a", retry_at=past),
        told("b", state="closed", held_until=past),
        told("c", state="closed", held_until=coming),
    ]

    found = open_breakers(values, NOW)

    assert [one["model"] for one in found] == ["c"]
    assert lines([], [], found) == [f"no call to p/c before {found[0]['held_until']}: the provider said so"]


@pytest.mark.parametrize(
    "value", [b"{}", b'{"provider":["p"],"model":"m","state":"open"}', b'{"provider":"p","model":"m"}']
)
def test_what_names_no_breaker_is_none(value: bytes):
    assert open_breakers([value], NOW) == []


@given(JSON, st.lists(st.none() | st.binary(max_size=9)))
def test_anything_at_all_can_be_told(healthz: object, values: list[bytes | None]):
    assert all(isinstance(line, str) for line in lines(ill_lanes(healthz), remembered(healthz), []))
    assert open_breakers(values, NOW) == []
