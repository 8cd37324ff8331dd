"""`novix bench`: a mix of jobs through a log, timed and added up."""

import json

import pytest
from console_world import Story

from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import JOBS, RESULTS


def answer(record, place):
    """Router and worker in one line: each job costs 1,000 nano-dollars; those on speech fail."""
    if record.topic != JOBS.name:
        return []
    asked = codec.decode(record.value)
    status = "failed" if asked["id"].startswith("audio") else "succeeded"
    story = Story(job_id=asked["id"], tenant=asked["tenant"], status=status, offset=place[1])
    document = {**codec.decode(story.result.encode()), "cost_nanousd": 1_000}
    return [Outgoing(RESULTS.name, f"{asked['tenant']}/{asked['id']}".encode(), codec.encode(document))]


def test_a_mix_is_published_whole_and_its_figures_add_up(novix, log):
    log.on_publish = answer

    done = novix("bench", "--mix", "40/30/20/10", "--jobs", "50", "--at-once", "7", "--json")

    told = json.loads(done.stdout)
    run = told["runs"]["here"]
    assert done.exit_code == 1  # those on speech failed
    assert {name: (one["jobs"], one["share_percent"]) for name, one in run.items()} == {
        "text": (20, 40.0), "image": (15, 30.0), "audio": (10, 20.0), "multimodal": (5, 10.0), "all": (50, 100.0)
    }  # fmt: skip
    assert (run["audio"]["succeeded"], run["all"]["succeeded"]) == (0, 40)
    assert run["all"]["cost_nanousd"] == 50_000
    ids = [
        codec.decode(row.value)["id"] for (topic, _), rows in log.records.items() if topic == JOBS.name for row in rows
    ]
    assert len(set(ids)) == 50


@pytest.mark.parametrize("wrong", [("--mix", "50/50"), ("--adaptive", "maybe")])
def test_what_makes_no_sense_is_refused_before_anything_is_published(novix, log, wrong):
    done = novix("bench", *wrong)

    assert done.exit_code == 2
    assert wrong[0] in done.stderr
    assert log.records == {}


def test_jobs_without_a_result_in_time_are_told_and_the_exit_code_is_3(novix, log):
    done = novix("bench", "--jobs", "3", "--timeout", "1")

    assert done.exit_code == 3
    assert "not all of 3 results" in done.stderr
