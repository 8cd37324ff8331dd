"""A strict reader of the small part of Mermaid's flowchart that we write: nodes with quoted labels, then arrows.

Stricter than Mermaid: what it takes, Mermaid takes (https://mermaid.js.org/syntax/flowchart.html), and a label that
holds a quote, a bracket's end or a line break of its own cannot be mistaken for syntax.
"""

import re
from dataclasses import dataclass, field

_NODE = re.compile(r'  ([a-z]\d+)(\[\("|\(\["|\{\{"|\[")(.*?)("\)\]|"\]\)|"\}\}|"\])')
_EDGE = re.compile(r"  ([a-z]\d+) (-->|-\.->) ([a-z]\d+)")
_PAIRS = {'[("': '")]', '(["': '"])', '{{"': '"}}', '["': '"]'}
_LABEL = re.compile(r'(?:[^"#<>&`\\\n\r]|#(?:\d+|quot|lt|gt|amp);|<br/>)+')


@dataclass
class Flowchart:
    """What a chart says: labels by node, and arrows as (from, to, dotted) by label."""

    labels: dict[str, str] = field(default_factory=dict)
    arrows: set[tuple[str, str, bool]] = field(default_factory=set)


def read(text: str) -> Flowchart:
    """The chart. Raises ValueError naming the line that is none of its grammar."""
    first, *rest = text.removesuffix("\n").split("\n")
    if first != "flowchart LR" or not text.endswith("\n"):
        raise ValueError(f"not a flowchart: {first!r}")
    chart = Flowchart()
    for line in rest:
        if node := _NODE.fullmatch(line):
            name, opened, label, closed = node.groups()
            if chart.arrows or name in chart.labels or _PAIRS[opened] != closed or not _LABEL.fullmatch(label):
                raise ValueError(f"no node: {line!r}")
            chart.labels[name] = label
        elif edge := _EDGE.fullmatch(line):
            start, arrow, end = edge.groups()
            chart.arrows.add((chart.labels[start], chart.labels[end], arrow == "-.->"))
        else:
            raise ValueError(f"neither node nor arrow: {line!r}")
    return chart
