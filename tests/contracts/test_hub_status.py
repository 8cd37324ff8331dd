"""`novix hub status`: of each source how it was, and how old it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.ports import Outgoing
from schemas.catalog import SourceState
from schemas.topics import SOURCES


def tell(log: Any, **more: Any) -> None:
    state = SourceState.model_validate({"at": datetime.now(UTC), **more})
    key = f"{state.source}/{state.kind}".encode()
    log.append(Outgoing(SOURCES.name, key, state.encode(), partition=0))


def test_each_source_is_as_old_as_its_last_complete_reading_and_its_counters_as_the_last_full_one(
    novix: Any, log: Any
) -> None:
    now = datetime.now(UTC)
    tell(log, source="router", state="complete", complete_at=now - timedelta(days=3, hours=1))
    tell(log, source="router", state="failed", error="status 503", complete_at=now - timedelta(days=3, hours=1))
    tell(log, source="hub", state="complete", complete_at=now - timedelta(minutes=7, seconds=30), rows=5, changed=2,
         full_at=now - timedelta(hours=20, minutes=30), refused={"bad_id": 3}, dropped={"tags": 1})  # fmt: skip
    tell(log, source="hub", kind="space", state="reading", rows=1_000)
    done = novix("hub", "status")
    lines = done.stdout.splitlines()

    assert done.exit_code == 1
    assert lines == [
        "hub, models: complete, 5 rows, 2 changed; refused: 3 bad_id; left out: 1 tags; complete 7 min ago, "
        "all rows 20 h ago",
        "hub, spaces: reading, 1000 rows, 0 changed; never complete",
        "router: failed, 0 rows, 0 changed; complete 3 d ago; status 503",
    ]


def test_what_a_source_said_in_its_errors_does_nothing_to_a_terminal(novix: Any, log: Any) -> None:
    tell(log, source="hub", state="failed", error="\x1b[2Jgone", refused={"\x1b]0;x\x07": 1})
    done = novix("hub", "status")

    assert "\x1b" not in done.stdout
    assert "gone" in done.stdout


def test_a_clock_that_was_ahead_makes_no_negative_age(novix: Any, log: Any) -> None:
    tell(log, source="hub", state="complete", complete_at=datetime.now(UTC) + timedelta(days=400))

    assert "complete 0 s ago" in novix("hub", "status").stdout


def test_nothing_that_was_read_is_said_with_what_to_type(novix: Any, log: Any) -> None:
    done = novix("hub", "status")

    assert done.exit_code == 3
    assert "novix hub sync" in done.stdout
