"""The command line: what it prints, and how it ends."""

import json
import re

import pytest
from console_world import Story

from runtime.ports import Outgoing
from schemas import codec
from schemas.topics import JOBS, RESULTS, TOPICS

SECRET = "hf_canaryCANARYcanary"


def answering(**told):
    """Router and worker in one line: every published job gets a result at once."""

    def answer(record, place):
        job = codec.decode(record.value)
        story = Story(job_id=job["id"], tenant=job.get("tenant", "default"), offset=place[1], **told)
        return [story.outgoing_result]

    return answer


# results


def test_results_prints_one_line_per_result_from_the_beginning_to_the_present_end(novix, log):
    Story().write(log)
    Story(job_id="b2", tenant="other", status="rejected").write(log)

    done = novix("results")

    assert done.exit_code == 0
    assert sorted(line.split("\t")[:2] for line in done.stdout.splitlines()) == [
        ["rejected ", "other/b2"],
        ["succeeded", "default/a1"],
    ]


def test_results_in_json_are_the_records_as_they_are(novix, log):
    story = Story().write(log)

    done = novix("results", "--json")

    assert done.stdout.encode() == story.result.encode() + b"\n"


def test_results_can_be_narrowed_to_a_tenant(novix, log):
    Story().write(log)
    Story(tenant="default2").write(log)

    assert len(novix("results", "--tenant", "default").stdout.splitlines()) == 1


def test_waiting_for_a_count_ends_when_there_are_so_many(novix, log):
    for number in range(3):
        Story(job_id=f"j{number}").write(log)

    done = novix("results", "--count", 2, "--timeout", 5)

    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 2)


@pytest.mark.parametrize("wish", [["--count", 2], ["--job", "other"], ["--job", "a1", "--tenant", "other"]])
def test_what_does_not_come_in_time_ends_with_3(novix, log, wish):
    Story().write(log)

    done = novix("results", *wish, "--timeout", 0.05)

    assert done.exit_code == 3
    assert "within 0.05 s" in done.stderr


def test_waiting_for_one_job_prints_it_alone(novix, log):
    Story().write(log)
    Story(job_id="b2").write(log)

    done = novix("results", "--job", "b2", "--json")

    assert [json.loads(line)["job_id"] for line in done.stdout.splitlines()] == ["b2"]


def test_a_result_that_is_no_json_is_shown_and_hides_no_other(novix, log):
    log.append(Outgoing(RESULTS.name, b"default/x", b"\xff\x00"))
    Story().write(log)

    done = novix("results")

    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 2


# publish


def test_publish_sends_each_line_as_it_is_and_counts(novix, log, tmp_path):
    lines = [b'{"id": "a",  "tenant":"t1"}', b"", b'{"id":"b"}']
    (tmp_path / "jobs.jsonl").write_bytes(b"\n".join(lines))

    done = novix("publish", "jobs.jsonl", "--json")

    assert (done.exit_code, json.loads(done.stdout)) == (0, {"published": 2, "refused": 0, "errors": []})
    sent = [record for (topic, _), rows in log.records.items() if topic == JOBS.name for record in rows]
    assert {(record.key, record.value) for record in sent} == {(b"t1", lines[0]), (b"default", lines[2])}


def test_publish_tells_lines_that_are_no_job_by_number_and_sends_the_others(novix, log):
    done = novix("publish", "-", stdin='{"id":"a"}\nnonsense\n[1]\n{"id":"b"}\n')

    assert done.exit_code == 1
    assert done.stdout == "2 jobs published, 2 lines refused\n"
    assert re.search(r"line 2: not JSON", done.stderr)
    assert re.search(r"line 3: a list", done.stderr)


def test_publish_strict_ends_at_the_first_such_line(novix, log):
    done = novix("publish", "-", "--strict", "--json", stdin='{"id":"a"}\nnonsense\n{"id":"b"}\n')

    assert (done.exit_code, json.loads(done.stdout)["published"]) == (1, 1)


def test_a_file_that_is_not_there_is_bad_usage(novix, log):
    done = novix("publish", "nothing.jsonl")

    assert done.exit_code == 2
    assert "nothing.jsonl" in done.stderr


# run


def test_run_publishes_waits_and_prints_the_answer(novix, log):
    log.on_publish = answering()

    done = novix("run", "Hi")

    assert (done.exit_code, done.stdout) == (0, "Hello there.\n")
    assert "org/small at hf-inference, $0.000001234" in done.stderr
    [sent] = [codec.decode(row.value) for (topic, _), rows in log.records.items() if topic == JOBS.name for row in rows]
    assert sent["input"] == {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 128}
    assert set(sent) == {"id", "task", "input", "tenant", "timeout_s"}


def test_run_passes_every_option_into_the_job(novix, log):
    log.on_publish = answering()

    options = ["--task", "feature-extraction", "--model", "m", "--provider", "p", "--max-cost", 5, "--timeout", 9,
               "--tenant", "t", "--id", "i"]  # fmt: skip
    done = novix("run", *options, "--input", '{"inputs": "x"}', "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["job_id"] == "i"
    [sent] = [codec.decode(row.value) for (topic, _), rows in log.records.items() if topic == JOBS.name for row in rows]
    assert sent == {"id": "i", "task": "feature-extraction", "input": {"inputs": "x"}, "tenant": "t", "timeout_s": 9.0,
                    "model": "m", "provider": "p", "max_cost_nanousd": 5}  # fmt: skip


def test_run_ends_with_1_when_the_job_does_not_succeed(novix, log):
    log.on_publish = answering(status="rejected")

    done = novix("run", "Hi")

    assert (done.exit_code, done.stdout) == (1, "")
    assert "price_ceiling" in done.stderr


def test_run_of_an_id_that_was_run_before_prints_the_result_that_is_there(novix, log):
    Story(job_id="once").write(log)

    done = novix("run", "Hi", "--id", "once")

    assert (done.exit_code, done.stdout) == (0, "Hello there.\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--input"),
        (["Hi", "--input", "{}"], "--input"),
        (["--input", "{"], "--input is no JSON"),
        (["--input", "[]"], "must be a JSON object"),
        (["Hi", "--task", "zero-shot-classification"], "zero-shot-classification"),
        (["Hi", "--max-cost", "-1"], "--max-cost"),
    ],
)
def test_run_refuses_what_it_cannot_send(novix, log, arguments, named):
    done = novix("run", *arguments)

    assert done.exit_code == 2
    assert named in done.stderr
    assert not log.records


# why, topics


def test_why_tells_the_story_and_ends_with_3_for_a_job_that_nobody_knows(novix, log):
    Story().write(log)

    assert "policy brief/1" in novix("why", "a1").stdout
    assert json.loads(novix("why", "a1", "--json").stdout)["results"][0]["job_id"] == "a1"
    unknown = novix("why", "a1", "--tenant", "other")
    assert unknown.exit_code == 3
    assert "--tenant" in unknown.stderr


def test_topics_create_does_no_harm_and_refuses_another_number_for_home_topics(novix, log):
    assert novix("topics", "create", "--partitions", 6).exit_code == 0

    refused = novix("topics", "create", "--partitions", 7)

    assert refused.exit_code == 1
    assert "inference.jobs.v1 has 6 partitions and cannot have 7" in refused.stderr


def test_topics_create_warns_at_one_replica_on_several_brokers(novix, log):
    log.broker_count = 3

    assert "--replication 3" in novix("topics", "create").stderr
    assert novix("topics", "create", "--replication", 3).stderr == ""
    assert novix("topics", "create", "--replication", 4).exit_code == 2
    assert novix("topics", "create", "--replication", 2, "--min-insync", 3).exit_code == 2


# settings


@pytest.mark.parametrize(
    "command", [["config", "show"], ["results"], ["status"], ["down"], ["doctor"], ["why", "a"], ["run", "x"]]
)
def test_a_bad_setting_ends_every_command_with_2_and_names_variable_value_and_what_is_allowed(novix, log, command):
    done = novix(*command, NOVIX_MAX_IN_FLIGHT="many")

    assert done.exit_code == 2
    assert "NOVIX_MAX_IN_FLIGHT" in done.stderr
    assert "'many'" in done.stderr
    assert "integer" in done.stderr


def test_config_show_hides_secrets_and_says_where_each_value_came_from(novix, tmp_path):
    (tmp_path / ".env").write_text("NOVIX_TOPIC_PREFIX=dev.\n")

    done = novix("config", "show", "--json", HF_TOKEN=SECRET, NOVIX_PARTITIONS="3")
    rows = {row["variable"]: (row["value"], row["source"]) for row in json.loads(done.stdout)}

    assert rows["NOVIX_HF_TOKEN"] == ("(hidden)", "environment")
    assert rows["NOVIX_TOPIC_PREFIX"] == ("dev.", ".env")
    assert rows["NOVIX_PARTITIONS"] == ("3", "environment")
    assert rows["NOVIX_LOG_LEVEL"] == ("info", "default")
    assert SECRET not in done.output + novix("config", "show", HF_TOKEN=SECRET).output


def test_a_misspelt_variable_is_told(novix):
    assert "NOVIX_PARTITION is set" in novix("config", "show", NOVIX_PARTITION="3").stderr


def test_schemas_are_exported_as_json_schema_2020_12(novix, tmp_path):
    done = novix("schema", "export", tmp_path / "out", "--json")

    written = {path.name: json.loads(path.read_text()) for path in (tmp_path / "out").iterdir()}
    messages = {topic.value for topic in TOPICS if topic.value is not None}
    assert len(json.loads(done.stdout)) == len(written) >= len(messages)
    assert written["inference-job.v1.json"]["required"] == ["id", "task", "input"]
    assert all(schema["$schema"].endswith("2020-12/schema") for schema in written.values())
