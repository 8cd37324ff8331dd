"""Topics, groups and who writes what as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html), and as
lines. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from console.telling.screenful import named
from console.topology.judging import Topology, is_of
from console.topology.plan import OPERATORS, Part, expected_topics, families
from console.words import count, shown
from schemas.topics import AUDIT, RETRY_GROUP, SPANS, worker_group

LONGEST_LABEL = 120
QUIET = frozenset({AUDIT.name, SPANS.name})
"""Left out of the picture of the contract."""
WORKERS = worker_group("")
PROVIDERS, STORE = "Hugging Face, its providers, your own servers", "blob store"
_ENTITIES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\\": "#92;"}
_BREAK = "<br/>"


def label(*lines: str) -> str:
    """Words as they stand in a quoted label: one line each, entities for what Mermaid or HTML would read."""
    return _BREAK.join(
        "".join(_ENTITIES.get(char, char) for char in shown(re.sub(r"\s", " ", line))[:LONGEST_LABEL]) for line in lines
    )


@dataclass(slots=True)
class _Chart:
    """Nodes by name, each with an id of ours: a stranger's name never becomes syntax."""

    lines: list[str] = field(default_factory=lambda: ["flowchart LR"])
    ids: dict[str, str] = field(default_factory=dict)
    edges: dict[str, None] = field(default_factory=dict)

    def node(self, name: str, text: str, shape: str) -> None:
        """A topic (`topic`), a group (`group`), somebody outside (`outside`) or what is missing (`missing`)."""
        kind = {"topic": "t", "group": "g", "outside": "o", "missing": "m"}[shape]
        self.ids[name] = f"{kind}{len(self.ids)}"
        opened, closed = {"topic": ("[(", ")]"), "group": ("([", "])"), "outside": ("[", "]"), "missing": ("{{", "}}")}[
            shape
        ]
        self.lines.append(f'  {self.ids[name]}{opened}"{text}"{closed}')

    def edge(self, start: str, end: str, *, dotted: bool = False) -> None:
        """An arrow; between nodes that are not drawn, none."""
        if start in self.ids and end in self.ids:
            self.edges[f"  {self.ids[start]} {'-.->' if dotted else '-->'} {self.ids[end]}"] = None

    def text(self) -> str:
        return "\n".join([*self.lines, *self.edges]) + "\n"


def running(topology: Topology) -> str:
    """The chart of what runs: cylinders are topics, rounded boxes groups, boxes people and programs outside, hexagons
    what is expected and missing; dotted arrows lead from topics that somebody reads whole, outside any group."""
    chart = _Chart()
    for name in expected_topics():
        there = topology.topics.get(name)
        text = label(name, count(there, "partition") if there else "missing")
        chart.node(name, text, "topic" if there else "missing")
    for part in topology.parts:
        ours = [one for one in topology.groups if part.group is not None and is_of(one.group.name, part.group)]
        if part.group is None:
            chart.node(f"part {part.name}", label(part.name), "outside")
            _edges(chart, f"part {part.name}", part)
        for one in ours:
            members = count(len(one.group.members), "member") if one.group.members else "nobody in it"
            node = f"group {one.group.name}"
            chart.node(node, label(one.group.name, f"{members}, {one.group.state}"), "group")
            _edges(chart, node, part)
        if part.group is not None and not ours and not part.optional:
            chart.node(f"group {part.group}", label(part.group, "missing"), "missing")
            _edges(chart, f"group {part.group}", part)
    for one in topology.groups:
        if one.part is None:
            chart.node(f"group {one.group.name}", label(one.group.name, "not of the contract"), "group")
            for topic in sorted({topic for member in one.group.members for topic in member.holds}):
                chart.edge(topic, f"group {one.group.name}")
    return chart.text()


def contract(parts: Sequence[Part]) -> str:
    """The chart of the contract: a job's way, with topics and groups of one kind as one; without audit and spans, which
    everybody writes, and without who only watches."""
    chart, called = _Chart(), families(expected_topics())
    merged: dict[str, list[Part]] = {}
    for part in parts:
        if not part.optional and part.name != OPERATORS:
            merged.setdefault(_kind(part), []).append(part)
    shown_parts = [part for some in merged.values() for part in some]
    on_it = {name for part in shown_parts for name in (*part.reads, *part.writes, *part.follows)} - QUIET
    for name in dict.fromkeys(called[one] for one in called if one in on_it):
        chart.node(name, label(name), "topic")
    for kind, some in merged.items():
        chart.node(kind, label(kind), "outside" if some[0].group is None else "group")
    for outside in (PROVIDERS, STORE):
        chart.node(outside, label(outside), "outside")
    for kind, some in merged.items():
        for part in some:
            for name in part.reads:
                chart.edge(called[name], kind)
            for name in part.writes:
                chart.edge(kind, called[name])
        for part in some:
            for name in part.follows:
                chart.edge(called[name], kind, dotted=True)
        if kind.startswith(WORKERS):
            chart.edge(kind, PROVIDERS)
            chart.edge(kind, STORE)
    return chart.text()


def _kind(part: Part) -> str:
    """What a part goes by in the picture of the contract: the groups of all modalities, and of all tiers, are one."""
    if part.group is None:
        return part.name
    for begin in (WORKERS, f"{RETRY_GROUP}."):
        if part.group.startswith(begin):
            return f"{begin}*"
    return f"{part.group}*" if part.group.endswith("-") else part.group


def _edges(chart: _Chart, node: str, part: Part) -> None:
    for topic in part.reads:
        chart.edge(topic, node)
    for topic in part.follows:
        chart.edge(topic, node, dotted=True)
    for topic in part.writes:
        chart.edge(node, topic)


def lines(topology: Topology) -> Iterator[str]:
    """The same for people: topics, groups, what is missing."""
    for name, partitions in topology.topics.items():
        writers = _names(part.name for part in topology.parts if name in part.writes)
        readers = _names(part.name for part in topology.parts if name in part.reads)
        yield f"topic    {name}: {count(partitions, 'partition')}; written by {writers}; read by {readers}"
    for one in topology.groups:
        held = {topic for member in one.group.members for topic in member.holds}
        members = count(len(one.group.members), "member")
        yield f"group    {_word(one.group.name)}: {one.group.state}, {members}, reads {_names(sorted(held))}"
        for member in one.group.members:
            told = "; ".join(f"{_word(topic)} {_ranges(held_)}" for topic, held_ in sorted(member.holds.items()))
            yield f"         {_word(member.client_id)}: {told or 'nothing'}"
    for name in topology.missing:
        yield f"missing  {_word(name, 2 * LONGEST_LABEL)}"
    for name in topology.strange:
        yield f"unknown  {_word(name)}: not of the contract"
    if not topology.missing:
        yield "missing  nothing that is expected"


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(_word, names)) or "nobody"


def _word(name: str, most: int = LONGEST_LABEL) -> str:
    """A name on one line of a terminal."""
    return named(name, most)


def _ranges(numbers: Sequence[int]) -> str:
    """`0-5, 7`."""
    told: list[list[int]] = []
    for number in sorted(numbers):
        if told and number == told[-1][1] + 1:
            told[-1][1] = number
        else:
            told.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in told) or "none"
