"""Log files: read from their ends, bounded, the newest first."""

import json

import pytest

from console.live import logs
from console.live.logs import Wanted
from runtime.settings import Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"


def line(second, event="job.settled", level="info", **more):
    stamp = f"2026-11-22T12:00:{second:02}.000000Z"
    return json.dumps({"event": event, "level": level, "timestamp": stamp, **more})


@pytest.fixture
def folder(tmp_path):
    def write(name, *lines, end="\n"):
        (tmp_path / name).write_bytes("\n".join(lines).encode(errors="surrogateescape") + end.encode())
        return tmp_path

    return write


def found(folder, limit=100, **wanted):
    known = logs.files(Settings(home=folder / "home", log_dir=str(folder)))
    return logs.read(known, Wanted(**wanted), limit)


def events(told):
    return [one.event for one in told.lines]


def test_lines_of_several_processes_are_merged_the_newest_first(folder):
    folder("router.log", line(1, "a"), line(3, "c"))
    home = folder("worker.jsonl", line(2, "b"), line(4, "d"), end="")

    told = found(home)

    assert events(told) == ["d", "c", "b", "a"]
    assert [one.process for one in told.lines] == ["worker", "router", "worker", "router"]
    assert (told.files, told.is_cut) == (["router", "worker"], False)


def test_a_trace_and_a_job_are_found_in_whatever_field_they_stand(folder):
    home = folder(
        "w.log",
        line(1, "a", trace_id=TRACE),
        line(2, "b", trace="1" * 32, job="acme/x1/1"),
        line(3, "c", detail={"deep": TRACE}),
        line(4, "d", job_id="x1"),
        line(5, "e", job_id="x11"),
    )
    assert events(found(home, trace=TRACE)) == ["a"]
    assert events(found(home, job="x1")) == ["d", "b"]
    assert events(found(home, job="acme/x1")) == ["b"]


def test_levels_are_at_least_and_events_by_their_beginning(folder):
    home = folder("w.log", line(1, "job.a", "debug"), line(2, "job.b", "warning"), line(3, "lane.c", "error"), "plain")
    assert events(found(home, level="warning")) == ["lane.c", "job.b"]
    assert events(found(home, event="job.")) == ["job.b", "job.a"]
    assert events(found(home, process="other")) == []


def test_a_traceback_at_the_end_stands_first_and_one_between_stays_in_its_place(folder):
    home = folder("w.log", line(1, "a"), "Traceback", line(2, "b"), "Boom: it fell", end="")
    assert events(found(home)) == ["Boom: it fell", "b", "Traceback", "a"]
    assert found(home).lines[0].level == logs.TEXT


def test_only_the_end_of_a_long_file_is_read_and_that_is_told(folder, monkeypatch):
    monkeypatch.setattr(logs, "MOST_BYTES", 4_096)
    monkeypatch.setattr(logs, "BLOCK_BYTES", 256)
    home = folder("w.log", *(line(n % 60, f"e{n}") for n in range(1_000)))

    told = found(home, limit=1_000)

    assert told.is_cut
    assert events(told)[0] == "e959"  # the greatest second; of equal ones the last written
    assert len(told.lines) < 60
    assert all(one.level == "info" for one in told.lines)  # no line is half


def test_as_many_as_are_wanted_and_it_is_told_that_there_are_more(folder):
    home = folder("w.log", *(line(n, f"e{n}") for n in range(30)))
    told = found(home, limit=10)
    assert (len(told.lines), told.is_cut, events(told)[0]) == (10, True, "e29")


def test_nonsense_is_text_a_line_without_end_is_cut_and_tokens_are_not_shown(folder):
    home = folder(
        "w.log",
        "\udcff\udcfe \x1b[31m",
        "x" * 300_000,
        "[1,2]",
        line(1, "a", why="it was hf_" + "A" * 30),
        '{"event": 3}',
    )
    told = found(home)
    assert len(told.lines) == 5
    assert max(len(one.event) for one in told.lines) <= logs.LINE_SHOWN_BYTES
    assert "hf_AAAA" not in repr(told)


def test_no_folder_and_no_world_are_no_files(tmp_path):
    settings = Settings(home=tmp_path / "home", log_dir=str(tmp_path / "none"))
    assert logs.files(settings) == {}
    assert logs.read({}, Wanted(), 10).lines == []
