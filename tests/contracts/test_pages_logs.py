"""The page Logs: lines of the processes by trace, job, level and event."""

import json

import pytest
from live_world import HOSTILE, pages

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def world(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "worker.log").write_text(
        "\n".join(
            json.dumps({"event": event, "level": level, "timestamp": f"2026-11-22T12:00:0{n}Z", **more})
            for n, (event, level, more) in enumerate(
                [
                    ("job.settled", "info", {"trace_id": TRACE, "job_id": "acme/a1"}),
                    ("lane.stuck", "error", {"why": HOSTILE, HOSTILE: 1}),
                    (HOSTILE, "warning", {"token": "hf_" + "s" * 30}),
                ]
            )
        )
    )
    with pages(tmp_path, log_dir=str(folder)) as world:
        yield world


def test_the_lines_of_one_trace_are_shown_and_lead_back_to_it(world):
    seen = world.get(f"/logs?trace={TRACE}")
    [_, row] = seen.rows
    assert [cell.strip() for cell in row[:4]] == ["11-22 12:00:00.000", "job.settled", "info", "worker"]
    assert f"/traces/{TRACE}" in seen.links


def test_lines_are_found_by_job_level_event_and_process(world):
    for question, count in (("job=a1", 1), ("level=warning", 2), ("event=job.", 1), ("process=router", 0), ("", 3)):
        assert len(world.client.get(f"/api/logs?{question}").json()["lines"]) == count, question


def test_lines_of_others_stay_text_and_tokens_are_not_shown(world):
    seen = world.get("/logs")
    assert seen.is_safe
    assert "hf_sss" not in seen.html
    assert world.get("/logs", dict.fromkeys(("trace", "job", "event", "process"), HOSTILE)).is_safe


def test_a_level_that_there_is_not_filters_nothing(world):
    assert len(world.client.get("/api/logs?level=loud").json()["lines"]) == 3


def test_without_files_it_says_where_they_would_come_from(tmp_path):
    with pages(tmp_path) as world:
        assert "NOVIX_LOG_DIR" in world.get("/logs").text
