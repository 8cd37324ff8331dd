"""Providers that work while we wait: where each is asked again, what ends the wait, and who may not be asked."""

import base64
from typing import Any

import pytest
from asks import ASKS
from dialects import PAIRS, after, got, onward, refusal, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from worker_world import candidate

from schemas.failure import FailureKind
from workers.errors import ProviderError
from workers.exchange import FIRST, Binary, Next, Reply
from workers.providers import PROVIDERS
from workers.providers.common import call_headers
from workers.providers.ways import direct
from workers.sending import same_origin

K = FailureKind
PNG = b"\x89PNG\r\n\x1a\nrest"


def test_fals_queue_is_polled_where_it_was_asked_and_its_result_fetched_from_elsewhere() -> None:
    """The path comes from the answer, for a model's name there may differ from ours; the origin never does."""
    task, base = "text-to-video", "http://provider.test/fal-ai/fal-ai/ltx/requests/1"
    told = {"request_id": "1", "status": "IN_QUEUE", "response_url": "https://queue.fal.run/fal-ai/ltx/requests/1"}
    step = onward("fal-ai", task, told)
    assert (step.stage, step.call.method, step.after_s) == ("poll", "GET", 0.5)
    assert step.call.url == f"{base}/status?_subdomain=queue"
    assert not step.call.public
    assert step.cancel is not None
    assert (step.cancel.method, step.cancel.url) == ("PUT", f"{base}/cancel?_subdomain=queue")

    again = after("fal-ai", task, step, {"status": "IN_PROGRESS"})
    assert again == step
    done = after("fal-ai", task, step, {"status": "COMPLETED"})
    assert isinstance(done, Next)
    assert (done.stage, done.call.url, done.after_s) == ("result", f"{base}?_subdomain=queue", 0.0)
    fetch = after("fal-ai", task, done, {"video": {"url": "https://fal.media/v.mp4"}})
    assert isinstance(fetch, Next)
    assert fetch.call.public
    assert after("fal-ai", task, fetch, b"mp4") == Reply(Binary(b"mp4", "application/octet-stream"))


def test_with_a_key_of_ones_own_the_queue_is_polled_at_the_providers_host() -> None:
    way = direct(candidate(dialect="fal-ai", provider="fal-ai", provider_model="m"), "text-to-video")
    told = {"request_id": "1", "response_url": "https://queue.fal.run/m/requests/1"}
    step = way.dialect.read(ASKS["text-to-video"], way.candidate, got(told))
    assert isinstance(step, Next)
    assert step.call.url == "https://queue.fal.run/m/requests/1/status"


def test_a_model_that_answers_at_once_needs_no_queue() -> None:
    step = onward("fal-ai", "text-to-video", {"video": {"url": "https://fal.media/v.mp4"}})
    assert (step.stage, step.call.public) == ("fetch", True)


def test_a_mask_of_fal_is_the_one_of_a_list() -> None:
    task, uri = "image-segmentation", f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert reply("fal-ai", task, {"image": {"url": uri}}, stage="result").document == [
        {"label": "mask", "mask": Binary(PNG, "image/png")}
    ]
    step = onward("fal-ai", task, {"image": {"url": "https://fal.media/m.png"}}, stage="result")
    fetched = after("fal-ai", task, step, PNG)
    assert isinstance(fetched, Reply)
    assert fetched.document == [{"label": "mask", "mask": Binary(PNG, "application/octet-stream")}]


PREDICTION = {
    "id": "p", "output": None, "error": None, "status": "starting",
    "urls": {"get": "https://api.replicate.com/v1/predictions/p", "cancel": "https://api.replicate.com/x"},
}  # fmt: skip


def test_replicate_is_judged_by_its_output_not_by_its_status() -> None:
    for output in ("https://replicate.delivery/a.webp", ["https://replicate.delivery/a.webp"]):
        for status in ("processing", "succeeded", "starting"):
            step = onward("replicate", "text-to-image", {**PREDICTION, "output": output, "status": status})
            assert (step.call.url, step.call.public) == ("https://replicate.delivery/a.webp", True)
    assert refusal("replicate", "text-to-image", {**PREDICTION, "status": "succeeded"}).kind is K.INVALID_OUTPUT


@pytest.mark.parametrize(("status", "error"), [("failed", "NSFW content detected"), ("canceled", None)])
def test_what_a_prediction_had_put_out_when_it_failed_is_no_answer(status: str, error: str | None) -> None:
    told = {**PREDICTION, "status": status, "error": error}
    for task, output in (("text-to-image", ["https://x.test/a.png"]), ("automatic-speech-recognition", "half a tex")):
        assert refusal("replicate", task, {**told, "output": output}).kind in (K.REQUEST_REFUSED, K.PROVIDER_ERROR)


def test_replicate_is_polled_and_can_be_cancelled_where_it_was_asked() -> None:
    step = onward("replicate", "text-to-image", PREDICTION)
    assert step.call.url == "http://provider.test/replicate/v1/predictions/p"
    assert step.cancel is not None
    assert (step.cancel.method, step.cancel.url) == ("POST", f"{step.call.url}/cancel")
    done = {**PREDICTION, "output": ["https://replicate.delivery/a"], "metrics": {"predict_time": 1.25}}
    fetch = after("replicate", "text-to-image", step, done)
    assert isinstance(fetch, Next)
    found = after("replicate", "text-to-image", fetch, PNG)
    assert isinstance(found, Reply)
    assert found.usage == {"compute_ms": 1_250}


@pytest.mark.parametrize(
    ("output", "document"),
    [
        ("hi", {"text": "hi"}),
        (["hi", "there"], {"text": "hi"}),
        ({"transcription": "hi"}, {"text": "hi"}),
        ({"transcription": "hi", "translation": "ho"}, {"text": "ho"}),
        ([{"text": "hi", "chunks": []}], {"text": "hi", "chunks": []}),
        ("", {"text": ""}),
        ({"transcription": ""}, {"text": ""}),
    ],
)
def test_a_transcript_of_replicate_has_many_forms(output: Any, document: Any) -> None:
    found = reply("replicate", "automatic-speech-recognition", {**PREDICTION, "status": "succeeded", "output": output})
    assert found.document == document


def test_a_transcript_in_a_file_is_fetched_and_read() -> None:
    task = "automatic-speech-recognition"
    step = onward("replicate", task, {**PREDICTION, "output": {"txt_file": "https://replicate.delivery/t.txt"}})
    assert step.call.public
    found = after("replicate", task, step, "grüß dich".encode())
    assert isinstance(found, Reply)
    assert found.document == {"text": "grüß dich"}


def test_wavespeeds_status_link_is_followed_where_it_was_asked() -> None:
    told = {
        "data": {
            "id": "1",
            "status": "created",
            "urls": {"get": "https://api.wavespeed.ai/api/v3/predictions/1/result"},
        }
    }
    step = onward("wavespeed", "text-to-image", told)
    assert step.call.url == "http://provider.test/wavespeed/api/v3/predictions/1/result"
    assert after("wavespeed", "text-to-image", step, {"data": {"status": "processing"}}) == step
    done = after("wavespeed", "text-to-image", step, {"data": {"status": "completed", "outputs": ["https://x.test/1"]}})
    assert isinstance(done, Next)
    assert done.call.public


def test_togethers_videos_are_polled_by_their_id() -> None:
    step = onward("together", "text-to-video", {"id": "v-1"})
    assert (step.call.url, step.after_s) == ("http://provider.test/together/v2/videos/v-1", 2.0)
    assert after("together", "text-to-video", step, {"status": "in_progress"}) == step
    with pytest.raises(ProviderError, match="another job"):
        after("together", "text-to-video", step, {"id": "other", "status": "completed"})
    told = {"status": "completed", "outputs": {"video_url": "https://x.test/v.mp4"}}
    done = after("together", "text-to-video", step, told)
    assert isinstance(done, Next)
    assert done.call.public


def test_zais_images_are_polled_with_its_own_headers() -> None:
    step = onward("zai-org", "text-to-image", {"id": "7", "task_status": "PROCESSING"})
    assert step.call.url == "http://provider.test/zai-org/api/paas/v4/async-result/7"
    assert ("x-source-channel", "hugging_face") in step.call.headers
    told = {"task_status": "SUCCESS", "image_result": [{"url": "https://x.test/i.png"}]}
    done = after("zai-org", "text-to-image", step, told)
    assert isinstance(done, Next)
    assert done.call.public


POLLED = {
    "fal-ai": ("text-to-video", lambda status, error: {"status": status, "error": error}),
    "replicate": ("text-to-image", lambda status, error: {"status": status, "error": error, "output": None}),
    "wavespeed": ("text-to-image", lambda status, error: {"data": {"status": status, "error": error}}),
    "together": ("text-to-video", lambda status, error: {"status": status, "error": error and {"message": error}}),
    "zai-org": ("text-to-image", lambda status, error: {"task_status": status, "error": error}),
}
FAILED = {"zai-org": "FAIL", "fal-ai": "FAILED"}


@pytest.mark.parametrize("name", sorted(POLLED))
@pytest.mark.parametrize(
    ("said", "kind"),
    [("GPU fell off", K.PROVIDER_ERROR), ("Billing required", K.PAYMENT_REQUIRED), ("rate limit", K.RATE_LIMITED)],
)
def test_a_job_that_failed_is_told_by_its_own_words(name: str, said: str, kind: FailureKind) -> None:
    task, told = POLLED[name]
    error = refusal(name, task, told(FAILED.get(name, "failed"), said), stage="poll", memo={"path": "/p"})
    assert error.kind is kind
    assert said in error.message


@pytest.mark.parametrize("name", sorted(POLLED))
def test_a_status_that_nobody_knows_is_no_answer_and_a_failure_without_words_is_the_providers(name: str) -> None:
    task, told = POLLED[name]
    poll = {"stage": "poll", "memo": {"path": "/p"}}
    assert refusal(name, task, told("dancing", None), **poll).kind is K.INVALID_OUTPUT
    assert refusal(name, task, told(FAILED.get(name, "failed"), None), **poll).kind is K.PROVIDER_ERROR


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.test/requests/1",
        "//evil.test/requests/1",
        "https://queue.fal.run/../groq/openai",
        "https://queue.fal.run/a/%2e%2e/b",
        "https://queue.fal.run/a b",
        "https://queue.fal.run",
        "https://[::1/x",
        "/" + "a" * 9_000,
        7,
        None,
    ],
)
def test_an_answer_cannot_send_our_credential_elsewhere(address: Any) -> None:
    error = refusal("fal-ai", "text-to-video", {"request_id": "1", "response_url": address})
    assert error.kind is K.INVALID_OUTPUT


def test_an_answer_that_tells_an_error_instead_of_its_result_is_that_error() -> None:
    for name, task in (("fal-ai", "text-to-image"), ("nscale", "text-to-image"), ("together", "feature-extraction")):
        assert refusal(name, task, {"error": {"message": "no credits left"}}).kind is K.PAYMENT_REQUIRED
        assert refusal(name, task, {"detail": "too many requests"}).kind is K.RATE_LIMITED


def test_calls_that_follow_carry_nothing_of_the_job_by_themselves() -> None:
    """Who pays and whose session: whoever sends them adds that, as to the first."""
    step = onward("replicate", "text-to-image", PREDICTION)
    ours = {name for name, _ in call_headers("acme", "a1", "org")} - {"user-agent", "accept-encoding"}
    assert not ours & {name for name, _ in step.call.headers}


PLACES = [
    "provider.test", "evil.test", "provider.test@evil.test", "evil.test\\@provider.test", "provider.test:9", "[::1", "",
    "evil.test#@queue.fal.run", "queue.fal.run", "api.replicate.com", "api.wavespeed.ai",
    "api.wavespeed.ai\t.evil.test",
]  # fmt: skip
PATHS = [
    "/p/1",
    "//evil.test/p",
    "/../x",
    "/a/%2e%2e/x",
    "/p?x=1",
    "",
    "/@evil.test",
    "/p\n/q",
    "/\\evil.test",
    "/é",
    "/...",
]
ADDRESS = st.builds(
    "{}{}{}".format, st.sampled_from(["https://", "http://", "", "//", "ftp://", "https:/"]), st.sampled_from(PLACES),
    st.sampled_from(PATHS),
)  # fmt: skip
ID = st.sampled_from(["ok", "..", "../x", "a/b", "a?b", "@evil.test", "//evil.test", "", 7, None])
STATUS = st.sampled_from(["IN_QUEUE", "queued", "processing", "created", "PROCESSING", "COMPLETED", "completed", None])
HOSTILE = st.fixed_dictionaries(
    {
        "id": ID, "request_id": ID, "status": STATUS, "task_status": STATUS, "response_url": ADDRESS,
        "status_url": ADDRESS, "urls": st.fixed_dictionaries({"get": ADDRESS, "cancel": ADDRESS}),
        "data": st.fixed_dictionaries({"status": STATUS, "urls": st.fixed_dictionaries({"get": ADDRESS})}),
    },
    optional={"output": ADDRESS, "images": st.just([{"url": "https://evil.test/a"}])},
)  # fmt: skip
QUEUES = [pair for pair in PAIRS if pair[0] in POLLED]


@given(pair=st.sampled_from(QUEUES), own_key=st.booleans(), answers=st.lists(HOSTILE, min_size=1, max_size=4))
@settings(max_examples=300)
def test_no_step_of_a_hostile_provider_leads_a_credential_away_from_the_origin_that_was_asked(
    pair: tuple[str, str], own_key: bool, answers: list[Any]
) -> None:
    """Of every dialect that polls, through the router and at its own host; calls to stop are steps as well."""
    name, task = pair
    asked, dialect = candidate(dialect=name, provider=name, provider_model="org/name"), PROVIDERS[name]
    root = f"{asked.base_url}/{name}/"
    if own_key:
        way = direct(asked, task)
        asked, dialect, root = way.candidate, way.dialect, f"{way.candidate.base_url}/"
    first = dialect.request(ASKS[task], asked, call_headers("acme", "a1", "org"))
    stage, memo = FIRST, {}
    for answer in answers:
        try:
            step = dialect.read(ASKS[task], asked, got(answer, stage=stage, memo=memo))
        except ProviderError:
            return
        if isinstance(step, Reply):
            return
        for call in filter(None, (step.call, step.cancel)):
            assert call.public or (call.url.startswith(root) and same_origin(call.url, first.url))
            assert not {"authorization", "x-hf-bill-to", "x-hf-session-id"} & {field for field, _ in call.headers}
        if step.call.public:
            return
        stage, memo = step.stage, step.memo
