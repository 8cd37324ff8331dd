"""Documents of the management API, old records and specs: what is read, and what is refused by name."""

from datetime import timedelta

import pytest
from endpoints_world import BEGIN, spec_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.endpoints.observe import adopted
from hub.endpoints.wire import BadDocument, body_of, differs, listed, machines_of, seen_of
from sandbox.hf.endpoints.fleet import Fleet
from schemas.endpoints import EndpointState, ScalingPolicy

L4 = ("aws", "us-east-1", "nvidia-l4", "x1")


def after(seconds: float):
    return BEGIN + timedelta(seconds=seconds)


def test_a_secret_has_no_place_in_a_body_and_flags_of_the_container_have():
    spec = spec_of(optimization={"quantization": "awq", "max_batch": 16}, custom={"env": {"A": "b"}})
    body = body_of(spec)
    assert "secrets" not in body["model"]
    assert body["model"]["env"] == {"A": "b", "QUANTIZE": "awq", "MAX_BATCH_SIZE": "16"}
    assert not differs(seen_of({**body, "more": 1, "status": {"state": "running"}}), spec)
    assert differs(seen_of({**body, "type": "public", "status": {"state": "running"}}), spec)


def test_what_somebody_wants_stands_in_the_body_in_the_management_apis_own_words():
    image = {"custom": {"url": "ghcr.io/acme/reader:2", "port": 8080, "healthRoute": "/ready", "command": ["serve"]}}
    spec = spec_of(
        instance_type="nvidia-a10g", instance_size="x4", revision="a" * 40, tenants=["beta"],
        scaling={"min_replicas": 1, "max_replicas": 3, "scale_to_zero_minutes": None, "pending_requests": 2.5},
        custom={"image": image, "env": {"A": "b"}, "framework": "custom", "tags": ["reader"]},
        security={"access": "private", "vendor": "azure", "region": "eastus"},
    )  # fmt: skip
    assert body_of(spec) == {
        "name": "small", "type": "private", "provider": {"vendor": "azure", "region": "eastus"},
        "compute": {
            "accelerator": "gpu", "instanceType": "nvidia-a10g", "instanceSize": "x4",
            "scaling": {
                "minReplica": 1, "maxReplica": 3, "scaleToZeroTimeout": None, "measure": {"pendingRequests": 2.5}
            },
        },
        "model": {
            "repository": spec.model, "revision": "a" * 40, "task": "text-generation", "framework": "custom",
            "image": image, "env": {"A": "b"},
        },
        "tags": ["reader"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        None, [], "x", 1, {}, {"status": None}, {"status": {"state": "dancing"}, "name": "x"},
        {"status": {"state": "running"}}, {"status": {"state": "deleted"}, "name": "x"},
        {"status": {"state": "running", "readyReplica": -1}, "name": "x"},
        {"status": {"state": "running", "targetReplica": True}, "name": "x"},
        {"status": {"state": ["running"]}, "name": "x"}, {"status": {"state": "running"}, "name": "x" * 65},
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_by_the_field_and_never_by_its_value(document):
    with pytest.raises(BadDocument) as refusal_:
        seen_of(document)
    assert len(str(refusal_.value)) < 100
    assert "dancing" not in str(refusal_.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from(["items", "status", "state", "name", "vendors", "regions", "computes", "pricePerHour", "url", "model"]), one, max_size=4), max_leaves=20))  # fmt: skip # noqa: E501
def test_whatever_the_api_says_is_read_or_refused(document):
    for read in (seen_of, listed, machines_of):
        try:
            read(document)
        except BadDocument:
            continue


def test_a_page_with_one_bad_row_gives_the_others_and_says_so():
    good = {"name": "a", "status": {"state": "running"}}
    found, faults, cursor = listed({"items": [good, {"name": "b"}, 7], "nextCursor": "c"})
    assert ([one.name for one in found], len(faults), cursor) == (["a"], 2, "c")


def test_the_price_list_is_read_to_the_nano_dollar_and_rows_without_a_price_are_left_out():
    rows = machines_of(Fleet().provider())
    assert rows[L4].hour_nanousd == 800_000_000
    assert rows[("aws", "eu-west-1", "intel-spr", "x1")].hour_nanousd == 33_000_000
    compute = {"instanceType": "t", "instanceSize": "x1"}
    for price in (None, "0.5", 0, -1, True, float("nan"), 1e12):
        document = {"vendors": [{"name": "aws", "regions": [{"name": "r", "computes": [compute | {"pricePerHour": price}]}]}]}  # fmt: skip # noqa: E501
        assert machines_of(document) == {}, price


def test_instants_with_nanoseconds_are_read():
    seen = seen_of({"name": "a", "status": {"state": "running", "updatedAt": "2023-10-26T12:41:53.263078506Z"}})
    assert seen.updated_at is not None
    assert seen.updated_at.isoformat() == "2023-10-26T12:41:53.263078+00:00"
    for bad in ("yesterday", 5, "2023-13-26T12:41:53Z", "9" * 100):
        assert seen_of({"name": "a", "status": {"state": "running", "updatedAt": bad}}).updated_at is None


def test_fewer_replicas_at_most_than_at_least_are_refused():
    with pytest.raises(ValueError, match="min_replicas is 3"):
        ScalingPolicy(min_replicas=3, max_replicas=2)


def test_an_old_record_without_the_newer_fields_is_read():
    old = {"spec": spec_of().model_dump(mode="json"), "status": "running", "at": BEGIN, "since": BEGIN}
    assert EndpointState.model_validate(old).answered == ()


@pytest.mark.parametrize(
    "custom",
    [
        {"env": {"HF_TOKEN": "x"}}, {"env": {"PLAIN": "hf_" + "a" * 34}}, {"env": {"DB_PASSWORD": "x"}},
        {"env": {"OPENAI_API_KEY": "x"}}, {"image": {"custom": {"url": "u", "credentials": {"username": "a"}}}},
        {"image": {"custom": {"args": ["--key", "sk-" + "a" * 30]}}},
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_refused_in_a_spec_by_the_fields_name_alone(custom: dict):
    with pytest.raises(ValidationError) as refused:
        spec_of(custom=custom)
    assert "looks like a secret" in refused.value.errors()[0]["msg"]
    assert "aaaa" not in refused.value.errors()[0]["msg"]


def test_flags_that_speak_of_tokens_of_text_are_no_secrets():
    env = {"MAX_TOTAL_TOKENS": "4096", "MAX_BATCH_PREFILL_TOKENS": "8192", "TOKENIZERS_PARALLELISM": "false"}
    assert spec_of(custom={"env": env}).custom.env == env


def test_an_endpoint_that_was_made_elsewhere_is_known_without_its_registrys_credentials():
    image = {"custom": {"url": "r/x", "credentials": {"username": "u", "password": "canary"}}}
    document = body_of(spec_of()) | {"status": {"state": "running"}}
    document["model"] = {**document["model"], "image": image}
    spec = adopted("acme", "default", seen_of(document))
    assert not isinstance(spec, str), spec
    assert spec.custom.image == {"custom": {"url": "r/x"}}
    assert "canary" not in spec.model_dump_json()
