"""The mapping of models to what providers call them: read as the Hub tells it, asked once, kept for a while."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from worker_world import HandClock, candidate

from runtime.http import Egress, HttpTransport
from schemas import codec, providers
from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.mapping import (
    FAILED_S,
    FORGOTTEN_S,
    GONE_S,
    Mappings,
    ProviderModel,
    as_called,
    is_needed,
    mapping_in,
    named,
)

K = FailureKind
RECORDED = Path(__file__).parent / "data" / "hf" / "traffic" / "hub.jsonl.gz"
GROQ = {"groq": {"status": "live", "providerId": "llama", "task": "conversational"}}
TOGETHER = {"together": {"status": "live", "providerId": "Llama-Turbo", "task": "conversational"}}


def recorded() -> list[dict[str, Any]]:
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        bodies = [(json.loads(line)["response"]["body"] or {}).get("text", "") for line in lines]
    return [json.loads(text) for text in bodies if '"inferenceProviderMapping"' in text and text[:1] == "{"]


def test_every_recorded_mapping_is_read_and_providers_that_have_left_are_not_in_it() -> None:
    documents = recorded()
    assert documents
    for document in documents:
        told = document["inferenceProviderMapping"]
        found = mapping_in(document)
        assert list(found) == [name for name in told if name in providers.PROVIDERS]
        for name, model in found.items():
            wanted = (told[name]["providerId"], told[name]["task"], told[name]["status"])
            assert (model.provider_id, model.task, model.status) == wanted


def test_a_list_is_read_like_a_dict_and_an_adapter_tells_its_weights() -> None:
    row = {
        "status": "error",
        "providerId": "fal-ai/lora",
        "task": "text-to-image",
        "adapterWeightsPath": "x.safetensors",
    }
    model = ProviderModel("fal-ai/lora", "text-to-image", "error", "x.safetensors")
    assert mapping_in({"inferenceProviderMapping": {"fal-ai": row}}) == {"fal-ai": model}
    assert mapping_in({"inferenceProviderMapping": [{"provider": "fal-ai", **row}]}) == {"fal-ai": model}


def test_what_is_unknown_is_left_out_and_the_rest_is_kept() -> None:
    rows = {
        "tomorrow": GROQ["groq"],
        "cohere": {**GROQ["groq"], "status": "paused"},
        "novita": {"status": "live", "task": "conversational"},
        "nscale": "live",
        **GROQ,
    }
    assert list(mapping_in({"inferenceProviderMapping": rows})) == ["groq"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["groq", "provider", "providerId", "task", "status"]), inner, max_size=4)
    ),
)


@given(JSON)
def test_no_document_is_too_strange_for_it(told: Any) -> None:
    for document in (told, {"inferenceProviderMapping": told}):
        assert set(mapping_in(document)) <= set(providers.PROVIDERS)


def test_a_candidate_is_named_by_its_providers_own_entry_for_its_task() -> None:
    asked = candidate(dialect="groq", provider="groq", provider_model="")
    assert is_needed(asked)
    found = named(asked, "chat-completion", mapping_in({"inferenceProviderMapping": GROQ}))
    assert (found.provider_model, found.adapter_weights_path) == ("llama", "")


def test_a_model_that_the_provider_does_not_do_is_refused_with_those_that_do() -> None:
    mapping = mapping_in({"inferenceProviderMapping": {**GROQ, **TOGETHER}})
    for dialect, task, others in (
        ("novita", "chat-completion", "groq, together"),
        ("groq", "text-generation", "none"),
    ):
        with pytest.raises(ProviderError, match=f"these do: {others}") as error:
            named(candidate(dialect=dialect, provider_model=""), task, mapping)
        assert (error.value.kind, error.value.nothing_sent) == (K.NOT_FOUND, True)


def test_doors_that_take_a_models_own_name_need_no_mapping() -> None:
    for dialect in ("hf-router", "hf-inference", "openai"):
        asked = candidate(dialect=dialect, provider_model="")
        assert not is_needed(asked)
        assert as_called(asked).provider_model == asked.model
    for dialect in ("endpoint", "tgi", "tei"):
        asked = candidate(dialect=dialect, provider_model="")
        assert not is_needed(asked)
        assert as_called(asked).provider_model == ""
    assert not is_needed(candidate(dialect="groq", provider_model="told"))
    assert as_called(candidate(dialect="hf-inference", provider_model="told")).provider_model == "told"


class Hub:
    """A Hub on loopback: what it answers, and what it was asked."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {"acme/chat": GROQ}
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.status = 200
        self.told: dict[str, Any] = {}
        """Of an answer that is no mapping: its document, if it has one, and its headers."""
        self.gate = asyncio.Event()
        self.gate.set()
        self.arrived = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        model = request.match_info["model"]
        self.asked.append((model, request.query.get("expand[]"), request.headers.get("authorization")))
        self.arrived.set()
        await self.gate.wait()
        if self.status != 200:
            return web.Response(status=self.status, **{"text": "<html>no</html>", **self.told})
        found = self.models.get(model)
        if isinstance(found, str):
            return web.Response(status=307, headers={"location": found})
        if found is None:
            return web.json_response({"error": "Repository not found"}, status=401)
        return web.json_response({"id": model, "inferenceProviderMapping": found})


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    app = web.Application()
    app.router.add_get("/api/models/{model:.+}", hub.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hub.url = str(site.name)
    yield hub
    hub.gate.set()
    await runner.cleanup()


@pytest.fixture
async def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def mappings(hub: Hub, clock: HandClock) -> AsyncIterator[Mappings]:
    transport = HttpTransport(Egress([hub.url]))
    async with transport, Mappings(transport, hub.url, clock, max_age_s=600, token=lambda: "hf_x", most=2) as mappings:
        yield mappings


async def test_the_hub_is_asked_as_the_official_client_asks_it_and_once_until_it_is_old(
    hub: Hub, mappings: Mappings, clock: HandClock
) -> None:
    first = await mappings.of("acme/chat")
    assert first["groq"].provider_id == "llama"
    assert hub.asked == [("acme/chat", "inferenceProviderMapping", "Bearer hf_x")]
    clock.turn(599)
    assert await mappings.of("acme/chat") is first
    assert len(hub.asked) == 1
    clock.turn(1)
    hub.models["acme/chat"] = TOGETHER
    assert list(await mappings.of("acme/chat")) == ["together"]
    assert len(hub.asked) == 2


async def test_many_who_ask_at_once_make_one_request_and_who_leaves_does_not_end_it(
    hub: Hub, mappings: Mappings
) -> None:
    hub.gate.clear()
    first = asyncio.create_task(mappings.of("acme/chat"))
    others = [asyncio.create_task(mappings.of("acme/chat")) for _ in range(20)]
    await hub.arrived.wait()
    first.cancel()
    hub.gate.set()
    assert all("groq" in found for found in await asyncio.gather(*others))
    assert len(hub.asked) == 1
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_was_forgotten_is_asked_anew_once_in_a_while(hub: Hub, mappings: Mappings, clock: HandClock) -> None:
    """A provider that has left a model says so to each of its jobs: the Hub must not be asked by all of them."""
    await mappings.of("acme/chat")
    hub.models["acme/chat"] = TOGETHER
    mappings.forget("acme/chat")
    mappings.forget("never/asked")
    for _ in range(3):
        assert list(await mappings.of("acme/chat")) == ["together"]
        mappings.forget("acme/chat")
    assert len(hub.asked) == 2
    clock.turn(FORGOTTEN_S)
    mappings.forget("acme/chat")
    await mappings.of("acme/chat")
    assert len(hub.asked) == 3


async def test_what_was_forgotten_is_still_used_while_the_hub_is_away(hub: Hub, mappings: Mappings) -> None:
    """One provider's 404 says nothing of the others, who are called by the same mapping."""
    await mappings.of("acme/chat")
    mappings.forget("acme/chat")
    hub.status = 503
    assert "groq" in await mappings.of("acme/chat")


async def test_an_old_mapping_is_used_while_the_hub_is_away_and_the_hub_is_left_alone_for_a_while(
    hub: Hub, mappings: Mappings, clock: HandClock
) -> None:
    await mappings.of("acme/chat")
    clock.turn(600)
    hub.status = 503
    for _ in range(3):
        assert "groq" in await mappings.of("acme/chat")
    assert len(hub.asked) == 2
    clock.turn(FAILED_S)
    hub.status = 200
    hub.models["acme/chat"] = TOGETHER
    hub.gate.clear()
    hub.arrived.clear()
    assert "groq" in await mappings.of("acme/chat")  # nobody waits for a Hub that was away: it may hang
    await hub.arrived.wait()
    hub.gate.set()
    while "together" not in await mappings.of("acme/chat"):
        await asyncio.sleep(0.01)
    assert len(hub.asked) == 3


async def test_a_hub_that_asks_for_patience_is_left_alone_as_long_as_it_says(
    hub: Hub, mappings: Mappings, clock: HandClock
) -> None:
    hub.status, hub.told = 429, {"headers": {"retry-after": "100"}}
    for turned in (0.0, FAILED_S, 94.0):
        clock.turn(turned)
        with pytest.raises(ProviderError):
            await mappings.of("acme/chat")
    assert len(hub.asked) == 1
    clock.turn(1.0)
    hub.status = 200
    assert "groq" in await mappings.of("acme/chat")


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, "Invalid credentials in Authorization header", K.UNAUTHORIZED),
        (401, "Invalid username or password.", K.NOT_FOUND),
        (403, "Your organization's token policy denies this token", K.FORBIDDEN),
    ],
)
async def test_a_token_that_the_hub_refuses_is_no_model_that_is_not_there(
    hub: Hub, mappings: Mappings, clock: HandClock, status: int, error: str, kind: K
) -> None:
    """A `not_found` ends the job for good; a token can be renewed. The words are the official client's rule."""
    hub.status, hub.told = status, {"text": codec.encode({"error": error}).decode()}
    with pytest.raises(ProviderError) as raised:
        await mappings.of("acme/chat")
    assert (raised.value.kind, raised.value.nothing_sent) == (kind, True)
    assert "hf_x" not in repr(raised.value)
    hub.status = 200
    clock.turn(FAILED_S)
    if kind is not K.NOT_FOUND:
        assert "groq" in await mappings.of("acme/chat")


async def test_a_hub_that_is_away_is_told_as_it_is_and_not_for_long(
    hub: Hub, mappings: Mappings, clock: HandClock
) -> None:
    hub.status = 429
    for _ in range(2):
        with pytest.raises(ProviderError, match="429") as error:
            await mappings.of("acme/chat")
        assert (error.value.kind, error.value.nothing_sent) == (K.RATE_LIMITED, True)
    assert len(hub.asked) == 1
    clock.turn(FAILED_S)
    hub.status = 200
    assert "groq" in await mappings.of("acme/chat")


async def test_a_model_that_nobody_knows_is_remembered_as_such_for_a_while(
    hub: Hub, mappings: Mappings, clock: HandClock
) -> None:
    for _ in range(2):
        with pytest.raises(ProviderError, match="knows no such model") as error:
            await mappings.of("acme/none")
        assert (error.value.kind, error.value.nothing_sent) == (K.NOT_FOUND, True)
    assert len(hub.asked) == 1
    clock.turn(GONE_S)
    hub.models["acme/none"] = GROQ
    assert "groq" in await mappings.of("acme/none")


async def test_a_renamed_model_is_followed_on_the_hub_and_nowhere_else(hub: Hub, mappings: Mappings) -> None:
    """The request carries the Hub's token."""
    hub.models |= {
        "old/name": "/api/models/acme/chat?expand[]=inferenceProviderMapping",
        "older/name": "/api/models/old/name",
        "bad/name": "https://evil.test/api/models/acme/chat",
        "round/name": "/api/models/round/name",
    }
    assert "groq" in await mappings.of("old/name")
    assert "groq" in await mappings.of("older/name")
    for name, message in (("bad/name", "another host"), ("round/name", "more than 3 times")):
        with pytest.raises(ProviderError, match=message) as error:
            await mappings.of(name)
        assert error.value.kind is K.INVALID_OUTPUT, "a gate on the way says nothing about the model"


@pytest.mark.parametrize("location", ["http://[::1", "https://hub.test:99999x/", "https://\u2100.test/", "", "//", "?"])
async def test_a_redirect_to_no_address_is_an_answer_that_is_none(hub: Hub, mappings: Mappings, location: str) -> None:
    hub.models["bad/name"] = location
    with pytest.raises(ProviderError) as error:
        await mappings.of("bad/name")
    assert (error.value.kind, error.value.nothing_sent) == (K.INVALID_OUTPUT, True)


async def test_only_so_many_models_are_kept(hub: Hub, mappings: Mappings) -> None:
    hub.models |= {"acme/b": GROQ, "acme/c": GROQ}
    for model in ("acme/chat", "acme/b", "acme/chat", "acme/c", "acme/chat"):
        await mappings.of(model)
    assert [model for model, _, _ in hub.asked] == ["acme/chat", "acme/b", "acme/c"]
    await mappings.of("acme/b")
    assert len(hub.asked) == 4


@pytest.mark.parametrize("model", ["", "../whoami-v2", "a/../../b", "a//b", "x" * 2_000])
async def test_a_name_that_is_none_is_asked_of_nobody(hub: Hub, mappings: Mappings, model: str) -> None:
    with pytest.raises(ProviderError) as error:
        await mappings.of(model)
    assert error.value.kind is K.NOT_FOUND
    assert not hub.asked


async def test_a_candidate_is_named_by_one_question_or_by_none(hub: Hub, mappings: Mappings) -> None:
    asked = candidate(model="acme/chat", dialect="groq", provider="groq", provider_model="")
    assert (await mappings.named(asked, "chat-completion")).provider_model == "llama"
    own = candidate(model="acme/chat", dialect="hf-inference", provider_model="")
    assert (await mappings.named(own, "chat-completion")).provider_model == "acme/chat"
    assert len(hub.asked) == 1


async def test_a_hub_that_nobody_reaches_is_a_failed_connection_that_sent_nothing(clock: HandClock) -> None:
    transport = HttpTransport(Egress(["http://127.0.0.1:1"]))
    async with transport, Mappings(transport, "http://127.0.0.1:1", clock, token=lambda: "hf_secret") as mappings:
        with pytest.raises(ProviderError) as error:
            await mappings.of("acme/chat")
    assert (error.value.kind, error.value.nothing_sent) == (K.CONNECT_FAILED, True)
    assert "hf_secret" not in repr(error.value)


async def test_the_end_cancels_what_is_still_being_asked(hub: Hub, clock: HandClock) -> None:
    hub.gate.clear()
    transport = HttpTransport(Egress([hub.url]))
    async with transport, Mappings(transport, hub.url, clock) as mappings:
        asking = asyncio.create_task(mappings.of("acme/chat"))
        await hub.arrived.wait()
    with pytest.raises(asyncio.CancelledError):
        await asking
