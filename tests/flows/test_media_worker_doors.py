"""Who exactly is asked, with which credential: names from the mapping, own keys, servers of the operator's own."""

import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from media_files import good_jpeg
from media_world import at_hf, document, media_world, painting, queued, record
from worker_world import TOKEN, answer, assigned, candidate, everything_in, failing, result_of, world

from runtime.settings import Settings
from schemas.failure import FailureKind
from workers.app import egress
from workers.keys import Keys

K = FailureKind
HUB = "huggingface.co"
GROQ_KEY = "gsk_canaryKeyThatMustNotShow"


def named(**providers: str) -> httpx.Response:
    """The Hub's mapping of a model to what providers call it."""
    rows = {
        name.replace("_", "-"): {"status": "live", "providerId": provider_id, "task": "text-to-image"}
        for name, provider_id in providers.items()
    }
    return document({"id": "acme/paint", "inferenceProviderMapping": rows})


def jpeg() -> httpx.Response:
    return document({"data": [{"b64_json": base64.b64encode(good_jpeg()).decode()}]})


def unnamed(provider: str = "nscale", **change: Any) -> Any:
    return queued(provider=provider, dialect=provider, provider_model="", **change)


def hosts(made: Any) -> list[str]:
    return [request.url.host for request in made.it.script.requests]


async def test_a_model_without_a_name_on_the_wire_is_named_by_the_mapping_which_is_asked_once(tmp_path: Path) -> None:
    async with media_world(tmp_path, named(nscale="acme/PAINT-v2"), jpeg()) as made:
        first = result_of(await made.it.run(record("text-to-image", painting(), unnamed())))
        second = result_of(await made.it.run(record("text-to-image", painting(), unnamed(), offset=8)))

    assert (first.status, second.status) == ("succeeded", "succeeded")
    assert hosts(made) == [HUB, "provider.test", "provider.test"]
    assert json.loads(made.it.script.requests[1].content)["model"] == "acme/PAINT-v2"
    assert first.served.model == "acme/paint"


async def test_a_model_that_has_another_name_by_now_is_asked_for_once_more_under_it(tmp_path: Path) -> None:
    steps = [named(nscale="old"), failing(404), named(nscale="new"), jpeg()]
    async with media_world(tmp_path, *steps) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), unnamed())))

    assert result.status == "succeeded"
    assert [attempt.kind for attempt in result.attempts] == [K.NOT_FOUND, None]
    assert hosts(made) == [HUB, "provider.test", HUB, "provider.test"]
    assert json.loads(made.it.script.requests[-1].content)["model"] == "new"


@pytest.mark.parametrize("status", [404, 410])
async def test_a_model_whose_name_is_the_same_goes_to_the_next_candidate(tmp_path: Path, status: int) -> None:
    steps = [named(nscale="old"), failing(status), named(nscale="old"), httpx.Response(200, content=good_jpeg())]
    async with media_world(tmp_path, *steps) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), unnamed(), at_hf(model="acme/two"))))

    assert result.served.provider == "hf-inference"
    assert [attempt.provider for attempt in result.attempts] == ["nscale", "hf-inference"]


async def test_a_provider_that_does_not_serve_the_model_is_no_attempt_and_the_message_names_those_that_do(
    tmp_path: Path,
) -> None:
    async with media_world(tmp_path, named(together="x", replicate="y")) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), unnamed())))

    assert (result.error.kind, result.attempts) == (K.NOT_FOUND, [])
    assert "these do: together, replicate" in result.error.message
    assert hosts(made) == [HUB]


async def test_a_hub_that_does_not_answer_is_waited_for_and_is_no_attempt(tmp_path: Path) -> None:
    steps = [httpx.ConnectError("no"), named(nscale="acme/PAINT"), jpeg()]
    async with media_world(tmp_path, *steps) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), unnamed())))

    assert result.status == "succeeded"
    assert len(result.attempts) == 1
    assert made.it.limits.total_in_flight == 0
    assert [wait.kind for wait in made.it.waits] == [K.CONNECT_FAILED]


async def test_a_hub_that_does_not_answer_sends_the_job_to_a_candidate_that_needs_no_name(tmp_path: Path) -> None:
    steps = [httpx.ConnectError("no"), httpx.Response(200, content=good_jpeg())]
    async with media_world(tmp_path, *steps) as made:
        result = result_of(await made.it.run(record("text-to-image", painting(), unnamed(), at_hf(model="acme/two"))))

    assert result.served.model == "acme/two"
    assert made.it.waits == []


async def test_what_a_provider_cannot_be_asked_goes_to_the_next_candidate_without_an_attempt(tmp_path: Path) -> None:
    """The OpenAI door of openai is not reached through the router; groq's is."""
    first = candidate(provider="openai", dialect="openai", provider_model="gpt")
    second = candidate(provider="groq", dialect="groq", provider_model="llama")
    it = world(answer())
    result = result_of(await it.run(assigned(first, second)))

    assert result.served.provider == "groq"
    assert len(result.attempts) == len(it.script.requests) == 1


# Credentials


def keys_file(path: Path) -> Keys:
    file = path / "keys.json"
    file.write_text(json.dumps({"groq": GROQ_KEY}))
    return Keys(file)


async def test_a_key_of_ones_own_goes_to_its_providers_own_host_and_the_token_does_not(tmp_path: Path) -> None:
    router = Settings().hf_router_url
    own = candidate(provider="groq", dialect="groq", provider_model="llama", base_url=router)
    other = candidate(provider="cerebras", dialect="cerebras", provider_model="llama", base_url=router)
    it = world(failing(503, {"error": f"bad key {GROQ_KEY}"}), shared={"keys": keys_file(tmp_path)}, max_retries=0)
    done = await it.run(assigned(own))
    await it.run(assigned(other, offset=8))
    first, second = it.script.requests

    assert str(first.url) == "https://api.groq.com/openai/v1/chat/completions"
    assert first.headers["authorization"] == f"Bearer {GROQ_KEY}"
    assert str(second.url) == f"{router}/cerebras/v1/chat/completions"
    assert second.headers["authorization"] == f"Bearer {TOKEN}"
    assert GROQ_KEY not in everything_in(done)


async def test_a_base_address_that_the_catalogue_has_set_is_called_as_it_is(tmp_path: Path) -> None:
    """With a key for the provider or without: where the operator has put another server, nobody else is called."""
    own = candidate(provider="groq", dialect="groq", provider_model="llama", base_url="https://stub.test")
    it = world(answer(), shared={"keys": keys_file(tmp_path)})
    await it.run(assigned(own))
    (request,) = it.script.requests

    assert request.url.host == "stub.test"
    assert GROQ_KEY not in request.headers["authorization"]


async def test_a_provider_whose_own_host_the_catalogue_names_is_shown_its_own_key_or_nothing(tmp_path: Path) -> None:
    """The Hugging Face token would be read there by somebody whom it is no business of."""
    keyed = candidate(provider="groq", dialect="groq", provider_model="m", base_url="https://api.groq.com")
    bare = candidate(provider="cerebras", dialect="cerebras", provider_model="m", base_url="https://api.cerebras.ai")
    it = world(answer(), shared={"keys": keys_file(tmp_path)})
    await it.run(assigned(keyed))
    await it.run(assigned(bare, offset=8))
    first, second = it.script.requests

    assert str(first.url) == "https://api.groq.com/openai/v1/chat/completions"
    assert first.headers["authorization"] == f"Bearer {GROQ_KEY}"
    assert second.url.host == "api.cerebras.ai"
    assert "authorization" not in second.headers


@pytest.mark.parametrize(
    ("dialect", "base_url", "shown"),
    [
        ("openai-compatible", "http://10.0.0.7:8000", False),
        ("openai-compatible", "https://evil-huggingface.co", False),
        ("openai-compatible", "https://huggingface.co.evil.test", False),
        ("endpoint", "https://abc.us-east-1.aws.endpoints.huggingface.cloud", True),
        ("endpoint", "http://abc.us-east-1.aws.endpoints.huggingface.cloud", False),
        ("tgi", "http://127.0.0.1:9999", True),
        ("tgi", "http://127.0.0.1:9998", False),
    ],
)
async def test_a_server_of_the_operators_own_sees_the_token_only_if_it_is_hugging_faces(
    dialect: str, base_url: str, shown: bool
) -> None:
    it = world(answer(), sandbox_url="http://127.0.0.1:9999")
    result = result_of(await it.run(assigned(candidate(dialect=dialect, base_url=base_url, provider_model="m"))))
    (request,) = it.script.requests

    assert result.status == "succeeded"
    assert (request.headers.get("authorization") == f"Bearer {TOKEN}") is shown
    assert ("authorization" in request.headers) is shown


def test_only_with_a_file_of_keys_may_calls_go_to_providers_own_hosts(tmp_path: Path) -> None:
    url, without = httpx.URL("https://api.groq.com/openai/v1/chat/completions"), egress(Settings())
    with_keys = egress(Settings(provider_keys_file=str(tmp_path / "keys.json")))

    assert "not on the list" in str(without.why_not(url, credentials=True))
    assert with_keys.why_not(url, credentials=True) is None
    assert with_keys.why_not(httpx.URL("https://queue.fal.run/x"), credentials=True) is None
    assert with_keys.why_not(httpx.URL("https://elsewhere.test/"), credentials=False) is not None


def test_a_base_address_outside_the_list_is_refused_and_one_on_it_is_not() -> None:
    url = httpx.URL("https://llm.lan.test/v1/chat/completions")

    assert egress(Settings()).why_not(url, credentials=True) is not None
    assert egress(Settings(egress_hosts="llm.lan.test")).why_not(url, credentials=True) is None


def test_a_listed_name_may_lead_into_a_private_network_and_never_to_a_clouds_metadata() -> None:
    listed = egress(Settings(egress_hosts="http://llm.lan.test:8000"))
    assert listed.why_not_address("llm.lan.test", 8000, "192.168.1.5") is None
    for address in ("169.254.169.254", "127.0.0.1", "::ffff:169.254.169.254"):
        assert listed.why_not_address("llm.lan.test", 8000, address) is not None
    assert listed.why_not_address("llm.lan.test", 443, "192.168.1.5") is not None
    assert listed.why_not_address("elsewhere.test", 443, "192.168.1.5") is not None
