"""What is generated is committed as it would be generated now, and says what the code does."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import asyncapi
from runtime.asyncapi import document, faults
from runtime.settings import Settings
from runtime.shell import Role
from schemas import export, tasks
from schemas.failure import FailureKind
from schemas.job import InferenceJob, ReadableJob, read_job
from schemas.topics import AUDIT, DLQ, JOBS, RESULTS, SPANS, TEXT, TOPICS

DOCS = Path(__file__).parents[2] / "docs"
READER = Role("reader", "A reader", "novix-reader", JOBS, (TEXT, DLQ, JOBS, SPANS))
WRITER = Role("writer", "A writer", "novix-writer", TEXT, (RESULTS, AUDIT, DLQ))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# drift


def test_everything_generated_is_as_it_would_be_generated_now(generate: ModuleType):
    assert generate.drift(DOCS) == []


def test_drift_is_named_and_mended(generate: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    (tmp_path / "errors.md").write_text("other")
    (tmp_path / "topics.md").unlink()
    (tmp_path / "schemas" / "gone.v1.json").write_text("{}")

    assert generate.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err
    assert "docs/errors.md: differs" in told
    assert "docs/topics.md: missing" in told
    assert "docs/schemas/gone.v1.json: of no message" in told

    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    assert not (tmp_path / "schemas" / "gone.v1.json").exists()


def test_the_tables_have_a_row_for_every_failure_topic_and_setting(generate: ModuleType):
    pages = generate.generated()

    assert all(f"| `{kind}` |" in pages["errors.md"] for kind in FailureKind)
    assert all(f"| `{topic.name}` |" in pages["topics.md"] for topic in TOPICS)
    assert all(f"| `NOVIX_{field.upper()}` |" in pages["settings.md"] for field in Settings.model_fields)


# JSON Schema


@pytest.mark.parametrize("name", export.documents())
def test_an_exported_schema_is_valid_json_schema_2020_12_with_an_id_that_stays(name: str):
    told = export.documents()[name]

    assert told["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert told["$id"] == f"https://novix.dev/schemas/{name}.v1.json"
    jsonschema_rs.Draft202012Validator(told)
    jsonschema_rs.meta.validate(told)


@pytest.mark.parametrize("model", export.MESSAGES, ids=lambda model: model.__name__)
def test_a_schema_tells_a_fields_promise_and_allows_fields_of_newer_writers(model: Any):
    told = export.documents()[export.name_of(model)]

    assert told["description"]
    assert told.get("additionalProperties", True) is True
    assert set(told["properties"]) == {field.alias or name for name, field in model.model_fields.items()}


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "id": st.text(max_size=300),
            "task": st.sampled_from(["", "chat-completion", "x" * 65, 5]),
            "input": st.just({}) | st.none(),
        },
        optional={
            "timeout_s": st.none()
            | st.integers(-1, 700_000)
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.just("5"),
            "max_cost_nanousd": st.none() | st.integers(-1, 10**16) | st.just(1.5),
            "priority": st.sampled_from(["normal", "batch", "urgent", None]),
            "ordering_key": st.none() | st.text(max_size=3),
            "metadata": st.dictionaries(
                st.text(max_size=2), st.booleans() | st.integers(0, 9) | st.none() | st.lists(st.none())
            ),
            "deadline": st.sampled_from([None, "2026-11-22T12:00:00Z", 5]),
            "tenant": st.text(max_size=3),
        },
    )
)
def test_whatever_the_reader_takes_the_exported_schema_takes_as_well(job: dict[str, Any]):
    reading = read_job(json.dumps(job).encode(), ())

    if isinstance(reading, ReadableJob):
        assert VALIDATOR.is_valid(job)


VALIDATOR = jsonschema_rs.Draft202012Validator(export.documents()["inference-job"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 5},
        {"timeout_s": 0},
        {"timeout_s": 604_801},
        {"max_cost_nanousd": -1},
        {"priority": "urgent"},
        {"metadata": {"k": []}},
        {"deadline": 5},
        {"ordering_key": ""},
    ],
)
def test_the_exported_schema_refuses_what_the_reader_refuses(wrong: dict[str, Any]):
    good = {"id": "a", "task": "t", "input": {}}

    assert VALIDATOR.is_valid(good)
    assert not VALIDATOR.is_valid({**good, **wrong})
    assert not isinstance(read_job(json.dumps({**good, **wrong}).encode(), ()), ReadableJob)


def test_types_of_the_brief_are_mapped_to_schemas_that_exist_or_said_to_be_still_to_come():
    exported = export.documents()

    assert len(export.BRIEF_TYPES) == 42
    assert {name for name in export.BRIEF_TYPES.values() if name} <= set(exported)
    assert exported[export.BRIEF_TYPES["InferenceRequest"] or ""]["title"] == InferenceJob.__name__
    assert exported["task"]["enum"] == sorted(tasks.MODALITIES)


# AsyncAPI


def test_two_roles_are_one_document_in_which_every_use_of_every_topic_stands():
    told = document([READER, WRITER])

    assert (told["asyncapi"], told["info"]["title"]) == ("3.0.0", "Novix")
    assert set(told["operations"]) == {
        "reader.receive.inference.jobs.v1",
        "reader.send.inference.text.v1",
        "reader.send.inference.dlq.v1",
        "reader.send.inference.jobs.v1",
        "reader.send.inference.spans.v1",
        "writer.receive.inference.text.v1",
        "writer.send.inference.results.v1",
        "writer.send.inference.audit.v1",
        "writer.send.inference.dlq.v1",
    }
    assert set(told["channels"]) == {topic.name for topic in (JOBS, TEXT, DLQ, SPANS, RESULTS, AUDIT)}
    assert faults(told) == []


def test_the_document_does_not_depend_on_the_order_of_the_roles():
    assert json.dumps(document([READER, WRITER])) == json.dumps(document([WRITER, READER]))


def test_a_message_tells_its_payload_key_headers_and_media_type():
    messages = document([READER, WRITER])["components"]["messages"]

    assert messages[JOBS.name]["payload"] == {"$ref": "#/components/schemas/InferenceJob"}
    assert messages[JOBS.name]["bindings"]["kafka"]["key"]["description"] == "tenant"
    assert set(messages[JOBS.name]["headers"]["properties"]) >= {"novix-schema", "traceparent"}
    assert messages[RESULTS.name]["contentType"] == "application/json"
    assert messages[SPANS.name]["contentType"] == "application/x-protobuf"
    assert "__dlq.errors.message" in messages[DLQ.name]["headers"]["properties"]


def test_a_reader_is_told_its_consumer_group():
    operation = document([READER])["operations"]["reader.receive.inference.jobs.v1"]

    assert operation["action"] == "receive"
    assert operation["bindings"]["kafka"]["groupId"]["enum"] == ["novix-reader"]


def test_a_document_that_would_make_a_reader_stumble_is_told_apart():
    told = document([READER])
    told["operations"]["reader.receive.inference.jobs.v1"]["channel"] = {"$ref": "#/channels/nowhere"}
    told["components"]["messages"]["a:b"] = {}

    found = faults(told)

    assert "#/channels/nowhere leads nowhere" in found
    assert "components.messages: 'a:b' is no key" in found
    assert any("is of another channel" in fault for fault in found)


def test_the_committed_document_is_whole_and_knows_every_topic():
    told = json.loads((DOCS / "asyncapi.json").read_text())

    assert faults(told) == []
    assert set(told["channels"]) == {topic.name for topic in TOPICS}
    assert told["info"]["description"] == asyncapi.DESCRIPTION
