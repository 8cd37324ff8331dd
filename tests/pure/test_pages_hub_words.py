"""Figures of the Model Hub's pages: numbers in words, memory, money, where to run it. Unknown is unknown."""

import shlex

import pytest
from hub_world import BERT, entry
from typer.main import get_command

from console.cli import app
from console.hub import measure
from console.hub.deploying import ways as deployments
from console.hub.tasks import FORMS, MAX_INPUT_CHARS, TEMPLATES, BadForm, form_of, input_of
from console.hub.trying import job_in, nanousd, order_of
from console.hub.ways import ways
from console.index.answers import CostRow
from console.pages import hub_tell, hub_words
from hub.compare.memory import memory
from runtime.settings import Settings
from schemas.catalog import Serving
from schemas.discovery import Interval
from schemas.tasks import MODALITIES, input_fault


@pytest.mark.parametrize(
    ("number", "told"),
    [(None, "unknown"), (0, "0"), (847, "847"), (2_100_000, "2.1M"), (110_000_000, "110M"), (7_000_000_000, "7B"),
     (999_999, "1M"), (1_234, "1.2k")],
)  # fmt: skip
def test_a_number_is_told_short_and_an_unknown_one_is_no_zero(number: int | None, told: str):
    assert hub_words.short(number) == told


def test_an_interval_tells_what_it_stands_on():
    told = Interval(value=45, low=40, high=60, unit="ms", source="observed", n=12, window_s=7_200)
    assert hub_words.interval(told) == "45 ms (40 ms to 60 ms, observed, n=12, over 2 hours)"
    assert hub_words.interval(None) == "unknown"


def test_what_constraints_removed_is_told_the_largest_first_and_what_is_no_count_is_not():
    told = hub_words.removed(
        {"licenses": 1_204, "max_bytes": {"count": 7}, "tasks": 0, "served": "many", "served_x": True}
    )
    assert told[:2] == ["1,204 left out by licence", "7 left out by size"]
    assert not any("many" in one for one in told)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("max_bytes", "1000000000", "size, at most 1 GB"),
        ("commercial", "True", "commercial yes"),
        ("max_nanousd_per_mtok", "500000000", "price of 1M tokens, at most $0.50"),
        ("max_latency_ms", "800", "latency, at most 800 ms"),
        ("licenses", "MIT", "licences MIT"),
        ("max_parameters", "7000000000", "parameters, at most 7B"),
        ("task", "²", "task ²"),
    ],
)
def test_a_condition_is_told_with_its_unit(name: str, value: str, told: str):
    assert f"{hub_words.condition(name)} {hub_words.value(name, value)}" == told


@pytest.mark.parametrize(
    ("known", "weights"),
    [
        ({"dtypes": {"F32": 110_000_000}}, 440_000_000),
        ({"dtypes": {"BF16": 100, "F8_E4M3": 10}}, 210),
        ({"dtypes": {}, "size_bytes": None}, 220_000_000),
        ({"dtypes": {"X99": 5}}, 440_000_000),
        ({"dtypes": {}, "parameters": None}, 440_000_000),
    ],
)
def test_memory_is_weights_and_a_fifth(known: dict, weights: int):
    found = memory(entry(BERT, **known))
    assert found is not None
    assert (found.weights, found.bytes) == (weights, round(weights * 1.2))
    assert "1.2" in found.says


def test_memory_of_a_model_of_which_nothing_is_known_is_unknown():
    assert memory(entry(BERT, dtypes={}, parameters=None, size_bytes=None)) is None


def test_what_was_paid_is_the_ledgers_sum_over_its_jobs_and_quotes_are_held_against_it():
    rows = [CostRow("other", 5, 500, 0, 0), CostRow(BERT, 4, 4_000, 5_000, 0)]
    found = measure.paid(rows, BERT)
    assert found is not None
    assert (found.jobs, found.each_nanousd, found.quoted_off) == (4, 1_000, pytest.approx(0.25))
    assert measure.paid(rows, "nobody") is None
    assert measure.paid([CostRow(BERT, 0, 0, 0, 0)], BERT) is None
    assert measure.off(1_100, 1_000) == pytest.approx(0.1)
    assert measure.off(5, 0) is None


# forms


@pytest.mark.parametrize("task", sorted(FORMS))
def test_the_example_of_each_form_makes_an_input_that_its_task_takes(task: str):
    address = "https://example.org/film.mp4"
    made = input_of(task, {field.name: field.example or address for field in FORMS[task].fields})
    assert input_fault(task, made) is None


def test_every_task_of_novix_has_a_form_and_no_other_has():
    assert all(form_of(task) is not None for task in MODALITIES)
    assert form_of("other") is None


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.name)
def test_a_template_is_a_whole_job(template):
    assert input_of(template.task, template.values)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"task": "nonsense", "text": "x"}, "is none that Novix knows"),
        ({"task": "text-classification", "text": ""}, "0 characters; it may have 1 to 20,000"),
        ({"task": "text-classification", "text": "x" * (MAX_INPUT_CHARS + 1)}, "20,001 characters"),
        ({"task": "text-classification", "text": "x", "tenant": "a/b"}, "tenant"),
        ({"task": "text-classification", "text": "x", "tenant": "t" * 129}, "129 characters; it may have 128"),
        ({"task": "text-classification", "text": "x", "ceiling": "lots"}, "ceiling"),
        ({"task": "text-classification", "text": "x", "ceiling": "-1"}, "ceiling"),
        ({"task": "text-classification", "text": "x", "model": "m" * 257}, "257 characters; it may have 256"),
        ({"task": "table-question-answering", "json": "no"}, "no JSON"),
        ({"task": "image-classification", "file": "no"}, "Picture: 2 characters that are no https address"),
        ({"task": "image-classification", "file": "http://example.org/a.png"}, "24 characters that are no https"),
        ({"task": "video-classification", "file": ""}, "Video: choose a file"),
        ({"task": "table-question-answering", "json": "[1]"}, "must be a JSON object"),
        ({"task": "table-question-answering", "json": "{}"}, "input."),
    ],
)
def test_a_form_that_makes_no_job_is_refused_with_the_reason(fields: dict[str, str], told: str):
    with pytest.raises(BadForm, match=told):
        order_of(fields)


def test_an_order_asks_for_what_the_form_says_and_no_more_money():
    asked = {"question": "Who?", "context": "Ada.", "model": BERT, "tenant": "acme", "ceiling": "0.002"}
    order = order_of({"task": "question-answering", **asked})
    job = order.job("a1")
    assert job["max_cost_nanousd"] == 2_000_000
    assert (job["id"], job["model"], job["tenant"], job["task"]) == ("a1", BERT, "acme", "question-answering")
    assert job["input"] == {"inputs": {"question": "Who?", "context": "Ada."}}
    assert order.job()["id"] != order.job()["id"]
    assert nanousd("") == 10_000_000


def test_a_job_of_a_script_is_whole_or_refused():
    job = job_in({"task": "text-classification", "input": {"inputs": "x"}})
    assert job["id"].startswith("hub-")
    assert job_in({"id": "mine", "task": "text-classification", "input": {"inputs": "x"}})["id"] == "mine"
    for bad in ([], "x", {}, {"task": "text-classification", "input": {}}, {"task": "nope", "input": {}},
                {"task": "text-classification", "input": {"inputs": "x"}, "tenant": 7}):  # fmt: skip
        with pytest.raises(BadForm):
            job_in(bad)


# ways in


def test_ways_in_are_quoted_whatever_a_model_is_called():
    name = 'a\'; rm -rf ~; echo "$(id)"/x\n`'
    job = {"task": "text-classification", "model": name, "tenant": "de fault'", "input": {"inputs": "it's"}}
    kcat, python, curl = ways(Settings(topic_prefix="t."), job, "http://127.0.0.1:1")

    for way in (kcat, curl):
        words = shlex.split(way.code.replace("\\\n", " "))
        assert [word for word in words if word in ("rm", "-rf")] == []
    assert "t.inference.jobs.v1" in kcat.code
    assert "read_committed" in kcat.code
    compile(python.code, "way", "exec")
    assert repr(name) in python.code


def test_places_to_run_it_are_four_and_their_commands_are_quoted():
    told = deployments(entry("a'b/c d"))
    assert [one.name for one in told] == ["Serverless", "Cloud", "Edge", "Local"]
    for one in told:
        assert "'b/c d" not in shlex.split(one.code) if one.code else True


@pytest.mark.parametrize("known", [{}, {"served": (Serving(provider="local", source="local"),)},
                                   {"task": "chat-completion", "served": (Serving(provider="groq"),)}])  # fmt: skip
def test_the_commands_that_are_offered_are_those_of_the_command_line(known: dict):
    for one in deployments(entry(BERT, **known)):
        command = get_command(app)
        for word in shlex.split(one.code)[1:]:
            if word.startswith("--"):
                assert word in {name for option in command.params for name in option.opts}, one.code
            else:
                command = getattr(command, "commands", {}).get(word, command)
        assert command is not get_command(app) or not one.code


# figures of the suites


def test_figures_are_read_from_files_and_where_there_is_none_the_page_says_so(tmp_path):
    (tmp_path / "relevance.json").write_text(
        '{"machine": "m", "figures": [{"name": "nDCG@10", "value": 0.81, "unit": ""}]}'
    )
    (tmp_path / "hub.json").write_text("[not json")
    (tmp_path / "requests.json").write_text('{"held_out": {"all": 0.9}, "n": 300, "judged": "by rules"}')

    found = {suite.title: suite for suite in hub_tell.suites_of(tmp_path)}

    assert ("nDCG@10", "0.81") in found["Relevance"].figures
    assert ("held_out: all", "0.9") in found["Recommendation"].figures
    assert "cannot be read" in found["Speed"].why_not
    assert found["Typing"].figures or found["Typing"].why_not
