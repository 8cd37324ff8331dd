"""`novix quote`, and `novix publish` with quotes and within a total."""

import json
import os
from contextlib import asynccontextmanager

import pytest
from aiokafka.errors import KafkaConnectionError
from console_world import NOON, Story, ms, stamped

from console import kafka
from console.money.amounts import dollars
from router.catalogue import load
from router.decide import decide
from router.view import view_of
from runtime.ports import Outgoing
from runtime.settings import Settings
from schemas import codec
from schemas.job import InferenceJob
from schemas.topics import BUDGETS, DECISIONS, JOBS, LEDGER, RESULTS

MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def job(number, **more):
    content = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 100}
    return {"id": f"j{number}", "task": "chat-completion", "model": MODEL, "input": content, **more}


def file(tmp_path, jobs):
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in jobs))
    return path


def published(log):
    return [codec.decode(row.value) for (topic, _), rows in log.records.items() if topic == JOBS.name for row in rows]


def answering(cost):
    """Router and worker in one line: every published job gets a result of this cost at once."""

    def answer(record, place):
        asked = codec.decode(record.value)
        story = Story(job_id=asked["id"], offset=place[1])
        told = {"cost_nanousd": cost, "received": {"topic": JOBS.name, "partition": place[0], "offset": place[1]}}
        document = {**codec.decode(story.result.encode()), **told}
        return [Outgoing(RESULTS.name, b"default/x", codec.encode(document))] if record.topic == JOBS.name else []

    return answer


def bound():
    """The ceiling that a job of ours is published with."""
    settings = Settings()
    asked = InferenceJob.model_validate(job(1))
    ruling = decide(asked, view_of(settings, load(settings)), published=NOON, now=NOON)
    return settings.reserve_attempts * max(one.ceiling_nanousd for one in ruling.candidates)


def test_a_quote_publishes_nothing_and_says_what_would_be_paid_and_by_whom(novix, log, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps(job(1)))

    done = novix("quote", "job.json", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert (told["verdict"], told["model"], told["interval_nanousd"][0]) == ("assigned", MODEL, 0)
    assert 0 < told["predicted_nanousd"] < told["ceiling_nanousd"] == told["interval_nanousd"][1]
    assert told["interval_covers"] is None
    assert log.records == {}


def test_without_kafka_a_quote_is_made_of_the_catalogue_alone_and_says_so(novix, monkeypatch, tmp_path):
    @asynccontextmanager
    async def nowhere(_):
        raise KafkaConnectionError("nobody there")
        yield

    monkeypatch.setattr(kafka, "_bus", nowhere)
    (tmp_path / "job.json").write_text(json.dumps(job(1)))

    done = novix("quote", "job.json")

    assert done.exit_code == 0, done.stderr
    assert "Kafka does not answer" in done.stderr
    assert "the catalogue's own" in done.stdout


def test_a_file_is_told_line_by_line_and_its_total_says_how_many_would_be_refused_and_why(novix, log, tmp_path):
    jobs = [job(1), job(2, max_cost_nanousd=1), job(3, model="nobody/knows"), job(4)]
    path = file(tmp_path, jobs)
    path.write_text(path.read_text() + "no job\n")

    done = novix("quote", path, "--json")

    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["verdict"] for one in lines] == ["assigned", "rejected", "rejected", "assigned", "unreadable"]
    assert last["total"]["refused"] == {"price_ceiling": 1, "unknown_model": 1}
    assert (last["total"]["taken"], last["total"]["unreadable"]) == (2, 1)
    assert last["total"]["ceiling_nanousd"] == 2 * lines[0]["ceiling_nanousd"]
    assert done.exit_code == 1


def history(log, ratios, tenant="default"):
    """Jobs that were decided and have paid `ratio` of what was expected."""
    for number, ratio in enumerate(ratios):
        decision = {
            "decision_id": f"d{number}", "tenant": tenant, "job_id": f"old{number}", "submission": 1, "digest": "",
            "verdict": "assigned", "task": "chat-completion", "decided_at": NOON.isoformat(),
            "candidates": [{"model": MODEL, "provider": "auto", "estimate_nanousd": 10_000, "ceiling_nanousd": 20_000}],
            "reserve": {"nanousd": 20_000, "expected_nanousd": 10_000, "budgets": []},
        }  # fmt: skip
        charge = {
            "model": MODEL,
            "provider": "auto",
            "nanousd": int(ratio * 10_000),
            "source": "computed",
            "attempt": 1,
        }
        entry = {
            "kind": "settle", "tenant": tenant, "job_id": f"old{number}", "submission": 1, "decision_id": f"d{number}",
            "reserved_nanousd": 20_000, "cost_nanousd": int(ratio * 10_000), "charges": [charge], "called_ms": 250,
            "task": "chat-completion", "status": "succeeded", "at": NOON.isoformat(),
        }  # fmt: skip
        at = ms(NOON) + number
        batch = codec.encode({"lane": "l", "sequence": number + 1, "decisions": [decision]})
        log.append(Outgoing(DECISIONS.name, b"0", batch, partition=0, timestamp_ms=at))
        written = codec.encode({"lane": "w", "entries": [entry]})
        log.append(Outgoing(LEDGER.name, b"0", written, partition=0, timestamp_ms=at + 1))


def test_an_interval_is_that_of_the_installations_own_history(novix, log, tmp_path, monkeypatch):
    monkeypatch.setattr("console.commands.quote.now", lambda: NOON)
    history(log, [0.5 + number * 37 % 101 / 100 for number in range(101)])
    (tmp_path / "job.json").write_text(json.dumps(job(1)))

    told = json.loads(novix("quote", "job.json", "--json").stdout)

    low, high = (end / told["expected_nanousd"] for end in told["interval_nanousd"])
    assert (low, high) == (pytest.approx(0.54, abs=0.01), pytest.approx(1.46, abs=0.01))
    assert told["interval_covers"] == 0.9
    assert told["history"] == {"of": "task, model and tenant", "jobs": 101}
    assert told["called_ms"] == {"p50": 250, "p90": 250}


def test_a_hard_budget_that_is_used_up_is_told_before_anything_is_published(novix, log, tmp_path):
    event = {"kind": "budget", "id": "all", "tenant": "default", "limit_nanousd": 1, "window": "total"}
    record = codec.encode({"event": {**event, "at": NOON.isoformat()}})
    log.append(Outgoing(BUDGETS.name, b"budget/default/all", record, partition=0))
    (tmp_path / "job.json").write_text(json.dumps(job(1)))

    done = novix("quote", "job.json", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["verdict"], told["kind"]) == ("rejected", "over_budget")
    assert json.loads(novix("quote", "job.json", "--json").stdout)["message"] == told["message"]


def test_a_job_says_what_it_was_quoted(novix, log, tmp_path):
    done = novix("publish", file(tmp_path, [job(1), job(2)]), "--quote")

    assert done.exit_code == 0, done.stderr
    assert [one["quoted_nanousd"] > 0 for one in published(log)] == [True, True]
    assert all("max_cost_nanousd" not in one for one in published(log))


def test_publishing_stops_where_ceilings_would_pass_the_total_and_says_where_to_go_on(novix, log, tmp_path):
    """Nobody answers: of a total of two and a half ceilings two jobs are published, and the rest is not."""
    path, limit = file(tmp_path, [job(number) for number in range(5)]), bound() * 5 // 2

    done = novix("publish", path, "--max-total", f"{limit / 1e9:.9f}", "--timeout", "0.01", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (told["published"], told["next_line"], told["reserved_nanousd"]) == (2, 3, 2 * bound())
    assert [one["max_cost_nanousd"] for one in published(log)] == [bound()] * 2

    again = novix("publish", path, "--from-line", told["next_line"])

    assert again.exit_code == 0, again.stderr
    assert sorted(one["id"] for one in published(log)) == [f"j{number}" for number in range(5)]


def test_what_results_leave_of_their_ceilings_is_published_with(novix, log, tmp_path):
    """Each job costs a tenth of its ceiling: of two ceilings eleven are paid, and then no whole one is left."""
    log.on_publish = answering(bound() // 10)
    path, limit = file(tmp_path, [job(number) for number in range(30)]), bound() * 2

    done = novix("publish", path, "--max-total", f"{limit / 1e9:.9f}", "--timeout", "5", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert told["reserved_nanousd"] == 0
    assert told["spent_nanousd"] == told["published"] * (bound() // 10)
    assert limit - bound() < told["spent_nanousd"] <= limit
    assert told["next_line"] == told["published"] + 1
    assert "left of" in told["stopped"]


def test_what_would_be_refused_is_told_and_left_out(novix, log, tmp_path):
    done = novix("publish", file(tmp_path, [job(1, max_cost_nanousd=1), job(2)]), "--max-total", "1", "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (told["published"], told["refused"]) == (1, 1)
    assert "price_ceiling" in told["errors"][0]
    assert [one["id"] for one in published(log)] == ["j2"]


@pytest.mark.parametrize("total", ["-1", "x", "0.0000000001", "nan"])
def test_a_total_that_is_no_amount_is_refused_before_anything_is_published(novix, log, tmp_path, total):
    done = novix("publish", file(tmp_path, [job(1)]), f"--max-total={total}")

    assert done.exit_code == 2
    assert "--max-total" in done.stderr
    assert published(log) == []


def test_a_total_holds_over_a_command_that_was_killed_and_the_same_command_again(novix, log, tmp_path):
    """The first run ends, for all that it knows, without a result; they come while nobody looks, and then it is
    started again: each job is published once, and both runs together stay within the total."""
    path, limit = file(tmp_path, [job(number) for number in range(30)]), bound() * 5 // 2
    command = ("publish", path, "--max-total", f"{limit / 1e9:.9f}", "--json", "--timeout")
    first = json.loads(novix(*command, "0.01").stdout)
    assert (first["published"], first["stopped"] != "") == (2, True)
    answer, cost = answering(bound() * 9 // 10), bound() * 9 // 10
    for (topic, _), rows in list(log.records.items()):
        for row in [row for row in rows if topic == JOBS.name]:
            for told in answer(row, (row.partition, row.offset)):
                log.append(stamped(told))
    log.on_publish = answer

    second = json.loads(novix(*command, "5").stdout)

    ids = [one["id"] for one in published(log)]
    assert len(ids) == len(set(ids))
    assert cost * len(ids) <= limit
    assert (second["published_before"], second["spent_nanousd"]) == (2, cost * len(ids))


def test_jobs_before_from_line_count_for_the_total_if_they_were_published(novix, log, tmp_path):
    path, limit = file(tmp_path, [job(number) for number in range(5)]), bound() * 5 // 2
    command = ("publish", path, "--max-total", f"{limit / 1e9:.9f}", "--json", "--timeout", "0.01")
    novix(*command)

    again = json.loads(novix(*command, "--from-line", "3").stdout)

    assert (again["published"], again["reserved_nanousd"], again["next_line"]) == (0, 2 * bound(), 3)
    assert len(published(log)) == 2


def test_of_a_file_that_is_published_already_nothing_is_published_and_its_results_are_counted(novix, log, tmp_path):
    log.on_publish = answering(7)
    command = ("publish", file(tmp_path, [job(1), job(2)]), "--max-total", "1", "--json")
    novix(*command)

    again = json.loads(novix(*command).stdout)

    assert (again["published"], again["published_before"]) == (0, 2)
    assert (again["spent_nanousd"], again["reserved_nanousd"]) == (14, 0)


def test_a_pipe_is_told_with_which_total_it_may_go_on(novix, log, tmp_path):
    """Its lines cannot be looked at twice, so the rest of the total is named."""
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "w") as pipe:
        pipe.write("".join(json.dumps(job(number)) + "\n" for number in range(5)))
        pipe.close()
        total = f"{bound() * 5 // 2 / 1e9:.9f}"
        done = novix("publish", f"/dev/fd/{reading}", "--max-total", total, "--timeout", "0.01")

    assert done.exit_code == 3
    assert f"--from-line 3 --max-total {dollars(bound() // 2)}, and no more" in done.stdout


def test_a_file_is_quoted_as_a_whole_so_a_budget_pays_for_as_many_of_its_jobs_as_it_can(novix, log, tmp_path):
    limit = 5 * bound()
    event = {"kind": "budget", "id": "all", "tenant": "default", "limit_nanousd": limit, "window": "total"}
    record = codec.encode({"event": {**event, "at": NOON.isoformat()}})
    log.append(Outgoing(BUDGETS.name, b"budget/default/all", record, partition=0))

    done = novix("quote", file(tmp_path, [job(number) for number in range(30)]), "--brief", "--json")

    total = json.loads(done.stdout)["total"]
    assert total["refused"] == {"over_budget": 30 - total["taken"]}
    assert limit - bound() < total["predicted_nanousd"] <= limit


@pytest.mark.parametrize("name", ["jobs.json", "jobs.ndjson", "jobs"])
def test_a_file_of_lines_is_one_whatever_its_name(novix, log, tmp_path, name):
    file(tmp_path, [job(1), job(2)]).rename(tmp_path / name)

    done = novix("quote", name, "--brief", "--json")

    assert json.loads(done.stdout)["total"]["taken"] == 2, done.stderr


def test_a_list_of_jobs_is_told_to_be_none_and_what_is_wanted(novix, log, tmp_path):
    (tmp_path / "jobs.json").write_text(json.dumps([job(1), job(2)], indent=1))

    done = novix("quote", "jobs.json")

    assert done.exit_code == 1
    assert "a list; a job is a JSON object, several are one a line" in done.stderr


def test_no_interval_is_claimed_where_there_is_no_history(novix, log, tmp_path):
    assert "nine of ten" not in novix("quote", file(tmp_path, [job(1)]), "--brief").stdout


def test_a_job_that_does_not_fit_the_contract_is_one_that_would_be_refused(novix, log, tmp_path):
    path = file(tmp_path, [job(1), job(2, max_cost_nanousd=-5)])

    *_, bad, last = [json.loads(line) for line in novix("quote", path, "--json").stdout.splitlines()]

    assert (bad["id"], bad["verdict"], bad["kind"]) == ("j2", "rejected", "invalid_job")
    assert (last["total"]["refused"], last["total"]["unreadable"]) == ({"invalid_job": 1}, 0)
    assert json.loads(novix("publish", path, "--max-total", "1", "--json").stdout)["refused"] == 1


def test_without_a_total_what_does_not_fit_the_contract_is_the_routers_to_judge(novix, log, tmp_path):
    done = novix("publish", file(tmp_path, [job(1), job(2, max_cost_nanousd=-5)]), "--quote")

    assert done.exit_code == 0, done.stderr
    assert sorted(one["id"] for one in published(log)) == ["j1", "j2"]
