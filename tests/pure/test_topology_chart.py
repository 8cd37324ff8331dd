"""The topology: what the contract has, what runs, what is missing, and the chart of it."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flowchart import read
from hypothesis import given, settings
from hypothesis import strategies as st

from console.hub.known import World
from console.topology.drawing import contract, label, lines, running
from console.topology.judging import as_json, is_of, judged
from console.topology.plan import expected_topics, parts
from router.catalogue import Catalogue
from runtime.census import Group, Member
from runtime.shell import Role
from schemas.topics import AUDIT, CATALOG, DECISIONS, DLQ, JOBS, RESULTS, SNAPSHOTS, SPANS, TEXT

PARTITIONS = 3
THERE = dict.fromkeys(expected_topics(), PARTITIONS)


def working(name: str, topic: str, partitions: int = PARTITIONS) -> Group:
    """A group whose one member holds the topic whole."""
    return Group(name, "Stable", [Member(f"{name}/host-0", {topic: list(range(partitions))})])


ALL = [working(part.group, part.reads[0]) for part in parts() if part.group and part.reads and not part.optional]


ROOT = Path(__file__).parents[2]
CODE = [path for room in ("console", "router", "workers", "runtime") for path in sorted((ROOT / room).rglob("*.py"))]


def values_of(pattern: str) -> Iterator[tuple[str, Any]]:
    """What stands at module level, by name, in every file of the system whose text has the pattern."""
    for path in CODE:
        if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE):
            module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
            yield from vars(module).items()


def test_no_role_that_an_application_declares_is_forgotten_nor_a_topic_of_it():
    values = [value for _, value in values_of(r"\bRole\(")]
    several = [one for value in values if isinstance(value, tuple | list) for one in value]
    several += [one for value in values if isinstance(value, dict) for one in value.values()]
    roles = {one.name: one for one in (*values, *several) if isinstance(one, Role)}
    known = {part.name: part for part in parts()}

    assert len(roles) >= 10
    for name, role in roles.items():
        part = known[name]
        assert set(part.writes) == {topic.name for topic in role.sends}, name
        assert {*part.reads, *part.follows} == {topic.name for topic in (role.receives, *role.follows)}, name


def test_the_explorer_follows_what_the_pages_of_the_model_hub_are_made_from():
    explorer = next(part for part in parts() if part.name == "explorer")
    folded = {topic.name for topic in World(Catalogue((), {}, {}, "0"), None).folds}

    assert {*folded, CATALOG.name} <= {*explorer.reads, *explorer.follows}
    assert set(explorer.follows) <= {*folded, CATALOG.name}


def test_every_lane_of_ours_writes_audit_spans_and_dead_letters():
    """Whoever settles records tells of it in the same transaction: router, retry lanes and workers."""
    lanes = [
        part for part in parts() if (part.group or "").startswith(("novix-router", "novix-retry.", "novix-worker-"))
    ]

    assert len(lanes) == 8
    assert [part.name for part in lanes if not {AUDIT.name, SPANS.name, DLQ.name} <= set(part.writes)] == []


def test_no_group_that_a_file_names_is_forgotten():
    """The checkpoints' own is a name for transactions alone: nobody joins it."""
    named = {value for name, value in values_of(r'"novix-[a-z]') if name.endswith(("GROUP", "GROUPS"))}
    named = {value for value in named if isinstance(value, str)} - {"novix-audit-checkpoints", "novix-retry"}
    groups = [part.group for part in parts() if part.group is not None]

    assert {"novix-relay", "novix-alerts", "novix-audit-hec-"} <= named
    assert {value for value in named if not any(is_of(f"{value}", group) for group in groups)} == set()


def test_each_topic_is_written_and_read_by_somebody():
    """Snapshots are read by who wrote them, when a lane opens."""
    writes = {name for part in parts() for name in part.writes}
    reads = {name for part in parts() for name in (*part.reads, *part.follows)}

    assert writes == set(expected_topics())
    assert reads == set(expected_topics()) - {SNAPSHOTS.name}


def test_who_may_be_left_out_is_drawn_when_it_runs_and_not_missed_when_it_does_not():
    there = [working("novix-relay", "inference.spans.v1"), working("novix-audit-hec-0a1b", "inference.audit.v1")]
    there.append(working("novix-alerts", "novix.alerts.v1"))

    without, full = judged(parts(), THERE, ALL), judged(parts(), THERE, [*ALL, *there])

    assert without.missing == full.missing == full.strange == []
    arrows = {(start.split("<br/>")[0], end.split("<br/>")[0]) for start, end, _ in read(running(full)).arrows}
    assert {
        ("inference.spans.v1", "novix-relay"), ("inference.audit.v1", "novix-audit-hec-0a1b"),
        ("novix.alerts.v1", "novix-alerts"), ("audit", "inference.checkpoints.v1"), ("inference.audit.v1", "audit"),
    } <= arrows  # fmt: skip
    assert "novix-relay" not in running(without)


def test_an_installation_that_is_whole_misses_nothing():
    found = judged(parts(), THERE, ALL)

    assert found.missing == []
    assert found.strange == []
    assert list(lines(found))[-1] == "missing  nothing that is expected"


def test_a_group_without_members_is_missing_with_what_waits_for_it():
    groups = [Group(one.name, "Empty", []) if one.name == "novix-worker-text" else one for one in ALL]

    found = judged(parts(), THERE, groups)

    assert found.missing == [f"group novix-worker-text: nobody is in it, so {TEXT.name} waits"]


def test_a_partition_that_no_member_holds_is_missing_unless_the_group_divides_its_work():
    held = Group("novix-router", "Stable", [Member("a", {JOBS.name: [0, 2]})])
    moving = Group("novix-router", "PreparingRebalance", [Member("a", {})])
    others = [one for one in ALL if one.name != "novix-router"]

    assert judged(parts(), THERE, [held, *others]).missing == [
        f"group novix-router: nobody holds partitions 1 of {JOBS.name}"
    ]
    assert judged(parts(), THERE, [moving, *others]).missing == []


def test_topics_are_missed_by_name_and_homes_by_their_number_of_partitions():
    topics = {**THERE, DECISIONS.name: 4}
    del topics[RESULTS.name]

    assert judged(parts(), topics, ALL).missing == [
        f"topic {RESULTS.name}", f"topic {DECISIONS.name}: 4 partitions, {JOBS.name} has 3"
    ]  # fmt: skip


def test_what_is_not_of_the_contract_is_told_and_a_neighbours_is_not():
    topics = {**THERE, "inference.old.v1": 1, "orders": 9, "__consumer_offsets": 50}
    strangers = [working("novix-old", "inference.old.v1"), working("billing", "orders")]

    found = judged(parts(), topics, [*ALL, *strangers])

    assert found.strange == ["topic inference.old.v1", "group novix-old"]
    assert "billing" not in running(found)
    assert "orders" not in running(found)


def test_each_explorers_own_group_is_the_explorer():
    found = judged(parts(), THERE, [*ALL, working("novix-console-1a2b3c", RESULTS.name)])

    assert found.strange == []
    assert {one.part for one in found.groups} >= {"explorer", "router"}


def test_the_chart_leads_from_producers_through_router_and_workers_to_consumers():
    chart = read(running(judged(parts(), THERE, ALL)))
    there = {(start.split("<br/>")[0], end.split("<br/>")[0], dotted) for start, end, dotted in chart.arrows}

    for start, end in (
        ("producers", JOBS.name), (JOBS.name, "novix-router"), ("novix-router", TEXT.name),
        (TEXT.name, "novix-worker-text"), ("novix-worker-text", RESULTS.name), (RESULTS.name, "consumers"),
        ("novix-worker-text", "inference.retry.5s.v1"), ("inference.retry.5s.v1", "novix-retry.5s"),
        ("novix-retry.5s", TEXT.name),
    ):  # fmt: skip
        assert (start, end, False) in there, (start, end)
    assert ("inference.ledger.v1", "novix-router", True) in there
    assert f"{JOBS.name}<br/>3 partitions" in chart.labels.values()


def test_what_is_missing_stands_in_the_chart_as_missing():
    chart = read(running(judged(parts(), {JOBS.name: 3}, [])))

    assert "novix-router<br/>missing" in chart.labels.values()
    assert f"{RESULTS.name}<br/>missing" in chart.labels.values()


def test_the_picture_of_the_contract_is_a_chart_of_a_jobs_way():
    chart = read(contract(parts()))
    work = "inference.{text,image,audio,multimodal}.v1"

    for start, end in (
        ("producers", JOBS.name), (JOBS.name, "novix-router"), ("novix-router", work), (work, "novix-worker-*"),
        ("novix-worker-*", RESULTS.name), (RESULTS.name, "consumers"), ("novix-retry.*", work),
    ):  # fmt: skip
        assert (start, end, False) in chart.arrows, (start, end)


@settings(max_examples=60)
@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_of_a_stranger_becomes_syntax(name: str, client: str):
    group = Group(f"novix-{name}", "Stable", [Member(client, {f"inference.{name}": [0]})])

    found = judged(parts(), {**THERE, f"inference.{name}": 1}, [*ALL, group])

    read(running(found))
    assert all(line.isprintable() for line in lines(found))
    assert as_json(found)["not_expected"]


@pytest.mark.parametrize(
    "name", ['a"b', "a#quot;b", "<script>alert(1)</script>", "a\nflowchart TD", "]) --> t0", "\x1b[31m", "\u202e"]
)
def test_a_label_is_one_line_of_entities(name: str):
    told = label(name)

    assert not set(told) & set('"<>`\\\n\x1b\u202e')
    read(f'flowchart LR\n  t0["{told}"]\n')


def test_the_charts_reader_refuses_what_is_no_chart():
    for text in (
        "graph LR\n", "flowchart LR\n  t0[label]\n", 'flowchart LR\n  t0["a"b"]\n', "flowchart LR\n  t0 --> t1",
        'flowchart LR\n  t0["a"]\n  t0["b"]\n', 'flowchart LR\n  end["a")]\n',
    ):  # fmt: skip
        with pytest.raises((ValueError, KeyError)):
            read(text)
