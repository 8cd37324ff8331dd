"""`novix topology` on a real broker: what runs is what is drawn."""

import json

from flowchart import read
from stranger import Stranger
from system import PARTITIONS, chat

from schemas.topics import JOBS, RESULTS, TEXT, TOPICS


def test_the_running_groups_and_topics_are_told_and_drawn(novix: Stranger, tenant: str):
    """Router and text workers run; the other modalities' do not, and are named as missing."""
    novix.run(chat("seen", tenant))
    told = json.loads(novix.cli("topology", "--json").stdout)
    chart = read(novix.cli("topology", "--mermaid").stdout)
    groups = {one["group"]: one for one in told["groups"]}

    assert {one["topic"] for one in told["topics"]} == {topic.name for topic in TOPICS}
    [member] = groups["novix-router"]["members"]
    assert member["holds"] == {JOBS.name: list(range(PARTITIONS))}
    assert groups["novix-worker-text"]["members"][0]["holds"] == {TEXT.name: list(range(PARTITIONS))}
    assert [name.split(":")[0] for name in told["missing"]] == [
        f"group novix-worker-{modality}" for modality in ("image", "audio", "multimodal")
    ]
    assert told["not_expected"] == []
    labels = set(chart.labels.values())
    assert {f"{RESULTS.name}<br/>{PARTITIONS} partitions", "novix-router<br/>1 member, Stable"} <= labels
    assert "novix-worker-audio<br/>missing" in labels
