"""What a provider's refusal means, and what of its words may be told."""

import inspect
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import runtime.http
from schemas.failure import FAILURES, FailureKind
from workers.errors import MAX_BODY_BYTES, STATUSES, of_exception, read_error
from workers.retry_after import LONGEST, retry_after
from workers.wording import ECHO_CHARS, MAX_CHARS, told, without_echo

K = FailureKind
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RECORDED = Path(__file__).parents[1] / "contracts" / "data" / "hf" / "recorded.jsonl"
RECORDS = {record["id"]: record for record in map(json.loads, RECORDED.read_text().splitlines())}


def read(status: int, body: Any = "", **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return read_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, now=NOW)


def test_every_failure_kind_has_a_row() -> None:
    assert set(FAILURES) == set(FailureKind)
    assert all(failure.meaning.endswith(".") for failure in FAILURES.values())


@pytest.mark.parametrize("status", range(300, 600))
def test_the_statuses_worth_another_attempt_are_those_of_the_brief_and_unnamed_5xx(status: int) -> None:
    """Requirement A38: 429, 500, 502, 503, 504; other 4xx end the job. Other 5xx (Cloudflare's 52x) do not."""
    kind = read(status, {"error": "no"}).kind
    expected = status in (429, 500, 502, 503, 504) or status >= 506
    assert FAILURES[kind].retryable == expected, kind


@pytest.mark.parametrize(
    ("id", "kind", "message"),
    [
        ("inf-0018", K.OVERLOADED, "overloaded"),
        (
            "inf-0073",
            K.MODEL_LOADING,
            "Model sentence-transformers/paraphrase-xlm-r-multilingual-v1 is currently loading",
        ),
        ("inf-0109", K.REQUEST_REFUSED, "The following `model_kwargs` are not used"),
        ("inf-0119", K.CONTEXT_EXCEEDED, "Input validation error"),
        ("inf-0139", K.REQUEST_REFUSED, "Failed to deserialize the JSON body into the target type"),
        ("inf-0147", K.PROVIDER_ERROR, "unknown error"),
        ("inf-0170", K.RATE_LIMITED, "Rate limit reached"),
        ("inf-0208", K.PAYMENT_REQUIRED, "You exceeded your current quota"),
        ("inf-0566", K.REQUEST_REFUSED, "body.model_name: Field required"),
        ("inf-0571", K.REQUEST_REFUSED, "body.model_name: Field required"),
        ("inf-0643", K.PAYMENT_REQUIRED, "You need to set up billing"),
        ("inf-0644", K.UNAUTHORIZED, ""),
        ("inf-0650", K.UNAUTHORIZED, "Invalid credentials in Authorization header"),
        ("inf-0653", K.UNAUTHORIZED, "Could not validate credentials"),
        ("inf-0660", K.UNAUTHORIZED, "Invalid API key provided"),
        ("inf-0680", K.UNAUTHORIZED, "Unauthorized: Invalid API key!"),
        ("inf-0695", K.UNAUTHORIZED, "Not authenticated"),
        ("inf-0717", K.UNAUTHORIZED, "failed to authentiacte API-Key"),
        ("inf-0843", K.NOT_FOUND, "Model this-model/does-not-exist-123 does not exist"),
        ("inf-0851", K.REQUEST_REFUSED, "- Additional property model is not allowed"),
        ("inf-0875", K.REQUEST_REFUSED, "Invalid request"),
        ("inf-0920", K.REQUEST_REFUSED, "body.model_name: field required"),
        ("inf-1017", K.NOT_FOUND, "no Route matched"),
        ("inf-1147", K.PROVIDER_ERROR, "Internal server error"),
    ],
)
def test_recorded_refusals_are_understood(id: str, kind: FailureKind, message: str) -> None:
    record = RECORDS[id]
    error = read_error(record["status"], record["headers"], record["body"].encode()[:MAX_BODY_BYTES], now=NOW)

    assert error.kind == kind
    assert error.message.startswith(message)
    assert error.message
    assert "<html" not in error.message.lower()
    assert "award winning" not in error.message
    assert error.upstream_status == record["status"]


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (307, {"location": "/api/models/org/new"}, "", K.NOT_FOUND),
        (400, {}, {"error": "bad"}, K.REQUEST_REFUSED),
        (400, {}, {"error": "Bad Request: Invalid state"}, K.NOT_FOUND),
        (400, {}, {"error": "invalid state of the seed"}, K.REQUEST_REFUSED),
        (400, {}, {"error": ["Error in `stream`: `stream` is not supported for this model"]}, K.REQUEST_REFUSED),
        (400, {}, {"error": {"message": "The requested model 'X' is not supported by any provider you have enabled."}},
         K.NOT_FOUND),
        (400, {}, {"error": {"message": "Unable to access model X.", "code": "model_not_available"}}, K.NOT_FOUND),
        (401, {}, "<!doctype html><html><head><title>401</title></head></html>", K.UNAUTHORIZED),
        (401, {"x-error-code": "GatedRepo"}, {"error": "Access to model X is restricted."}, K.FORBIDDEN),
        (401, {"x-error-code": "RepoNotFound"}, {"error": "Repository not found"}, K.NOT_FOUND),
        (402, {}, {"error": "You have depleted your monthly included credits."}, K.PAYMENT_REQUIRED),
        (402, {}, {"title": "Billing required", "detail": "You need to set up billing."}, K.PAYMENT_REQUIRED),
        (403, {}, {"error": "This authentication method does not have sufficient permissions to call"},
         K.FORBIDDEN),
        (403, {"x-error-code": "GatedRepo"}, "", K.FORBIDDEN),
        (403, {}, {"detail": "Not authenticated - Invalid Authentication"}, K.UNAUTHORIZED),
        (403, {}, {"detail": "User is locked. Reason: Exhausted balance. Top up your balance."}, K.PAYMENT_REQUIRED),
        (404, {}, {"error": "Model X does not exist"}, K.NOT_FOUND),
        (410, {}, {"error": "https://api-inference.huggingface.co is no longer supported."}, K.GONE),
        (413, {}, "<html>413 Request Entity Too Large</html>", K.TOO_LARGE),
        (413, {}, {"error": "`inputs` must have less than 512 tokens."}, K.CONTEXT_EXCEEDED),
        (421, {}, {"message": "Welcome to the OpenAI API!"}, K.NOT_FOUND),
        (422, {}, {"detail": [{"loc": ["body", "prompt"], "msg": "field required"}]}, K.REQUEST_REFUSED),
        (424, {}, {"error": "Request failed during generation", "error_type": "generation"}, K.REQUEST_REFUSED),
        (429, {}, {"error": "Rate limit reached. Please log in or use a HF access token"}, K.RATE_LIMITED),
        (429, {}, {"error": {"message": "Rate limit: you exceeded your current quota", "code": "insufficient_quota"}},
         K.PAYMENT_REQUIRED),
        (500, {}, {"error": "unknown error", "warnings": ["CUDA"]}, K.PROVIDER_ERROR),
        (503, {}, {"error": "Model X is currently loading", "estimated_time": 20.0}, K.MODEL_LOADING),
        (503, {}, {"error": "overloaded"}, K.OVERLOADED),
        (504, {}, "<html><head><title>504 Gateway Time-out</title></head></html>", K.PROVIDER_ERROR),
        (200, {}, {"error": "Input validation error", "error_type": "validation"}, K.REQUEST_REFUSED),
        (200, {}, {"status": "failed", "error": {"code": 401, "message": "no"}}, K.UNAUTHORIZED),
    ],
)  # fmt: skip
def test_each_status_and_body_has_one_kind(status: int, headers: dict[str, str], body: Any, kind: FailureKind) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    error = read_error(status, headers, raw.encode(), now=NOW)

    assert error.kind == kind
    assert 0 < len(error.message) <= MAX_CHARS
    assert "<" not in error.message


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_the_table_of_statuses_is_what_a_body_that_says_nothing_means(status: int) -> None:
    assert read(status, "").kind == STATUSES[status]


def test_the_field_of_a_validation_error_is_named_and_its_value_is_not() -> None:
    body = {"detail": [{"loc": ["body", "height"], "msg": "should be at least 128", "input": "the secret", "ctx": {}}]}
    assert read(422, body).message == "body.height: should be at least 128"


def test_a_signed_address_is_told_without_its_signature() -> None:
    said = read(
        400, {"error": "400 for url: https://s3.test/x.bin?X-Amz-Signature=abcdef&X-Amz-Date=1 (retry)"}
    ).message
    assert said == "400 for url: https://s3.test/x.bin (retry)"


def test_a_page_inside_json_is_told_without_markup() -> None:
    assert read(502, {"error": "<!DOCTYPE html><html><title>Bad gateway</title><p>x"}).message == "Bad gateway"


def test_where_a_redirect_leads_is_told() -> None:
    assert read(307, "", location="/api/models/org/new").message == "status 307: it is now at /api/models/org/new"


def test_only_a_model_whose_licence_is_missing_is_gated() -> None:
    assert read(403, "", x_error_code="GatedRepo").gated
    assert read(401, {"error": "Access to model org/x is restricted. You must be authenticated"}).gated
    assert not read(403, {"error": "This authentication method does not have sufficient permissions"}).gated
    assert not read(404, {"error": "gated"}).gated


def test_a_model_that_no_provider_serves_is_not_found_rather_than_a_bad_request() -> None:
    error = {"message": "The requested model 'X' is not supported by any provider", "code": "model_not_supported"}
    assert read(400, {"error": error}).kind == K.NOT_FOUND
    assert read(400, {"error": "Model not supported by provider hf-inference"}).kind == K.NOT_FOUND


def test_an_estimated_time_is_a_wait() -> None:
    assert read(503, {"error": "Model X is currently loading", "estimated_time": 20.5}).retry_after == timedelta(
        seconds=20.5
    )
    assert read(503, {"error": "loading", "estimated_time": -1}).retry_after is None
    assert read(503, {"error": "loading", "estimated_time": "soon"}).retry_after is None


@pytest.mark.parametrize("status", [200, 400, 401, 404, 500, 502, 504])
def test_retry_after_is_believed_on_429_and_503_alone(status: int) -> None:
    assert read(status, {"error": "x"}, retry_after="30").retry_after is None
    assert read(429, {"error": "x"}, retry_after="30").retry_after == timedelta(seconds=30)
    assert read(503, {"error": "x"}, retry_after="30").retry_after == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta()),
        ("13", timedelta(seconds=13)),
        (" 1.5 ", timedelta(seconds=1.5)),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("NaN", None),
        ("inf", None),
        ("٣", None),
        ("1e3", None),
        ("9" * 18, LONGEST),
        ("9" * 400, None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), timedelta(seconds=90)),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), timedelta()),
        ("Sun, 22 Nov 2026 12:01:00", timedelta(seconds=60)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
        ("Fri, 99 Foo 2026 23:59:59 GMT", None),
    ],
)
def test_retry_after_in_every_form(value: str, wait: timedelta | None) -> None:
    assert retry_after({"retry-after": value}, NOW) == wait


def test_the_hubs_own_form_of_retry_after() -> None:
    assert retry_after({"ratelimit": '"api";r=0;t=295'}, NOW) == timedelta(seconds=295)
    assert retry_after({"ratelimit": '"api";r=10;t=295'}, NOW) is None


@given(st.text(max_size=80))
def test_retry_after_never_raises_and_is_never_negative(value: str) -> None:
    wait = retry_after({"retry-after": value}, NOW)
    assert wait is None or timedelta() <= wait <= LONGEST


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "message", "detail", "loc", "msg", "code", "status", "title", "estimated_time"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(100, 999), st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
@example(503, b'{"error": "loading", "estimated_time": 1e308}')
@example(200, b'{"error": {"code": 503, "message": ["x"]}}')
def test_any_answer_is_understood_as_something(status: int, body: bytes) -> None:
    error = read_error(status, {"retry-after": "x"}, body, now=NOW)
    assert isinstance(error.kind, FailureKind)
    assert 0 < len(error.message) <= MAX_CHARS
    assert error.message.isprintable()


def test_an_error_object_inside_a_success_is_known_by_its_status_or_its_words() -> None:
    assert read(200, {"error": {"code": 429, "message": "slow"}}).kind == K.RATE_LIMITED
    assert read(200, {"error": "Input validation error", "error_type": "validation"}).kind == K.REQUEST_REFUSED
    assert read(200, {"error": "Model is overloaded", "error_type": "overloaded"}).kind == K.OVERLOADED
    assert read(200, {"error": "Invalid API key"}).kind == K.UNAUTHORIZED
    assert read(200, {"error": "NSFW content detected. Try another prompt."}).kind == K.REQUEST_REFUSED
    assert read(200, {"error": "Invalid input: seed"}).kind == K.REQUEST_REFUSED
    assert read(200, {"error": "CUDA out of memory"}).kind == K.PROVIDER_ERROR
    assert read(200, {"error": "who knows"}).kind == K.PROVIDER_ERROR


def test_the_message_is_read_in_the_official_clients_order() -> None:
    body = {"error": "from error", "message": "from message"}
    assert read(400, body, x_error_message="from header").message == "from header"
    assert read(400, body).message == "from error"
    assert read(400, {"error": ["one", "two"]}).message == "one; two"
    assert read(400, {"error_description": "described"}).message == "described"
    assert read(400, {"errors": [{"message": "listed"}]}).message == "listed"
    assert read(400, {"title": "a title"}).message == "a title"


def test_a_page_is_told_by_its_title_without_markup() -> None:
    page = (
        "<html><head><title>504 Gateway &amp; Time-out</title><style>p{}</style></head><body><h1>x</h1></body></html>"
    )
    assert read(504, page).message == "504 Gateway & Time-out"
    assert read(502, "<html><body><script>evil()</script><p>bad gate").message == "bad gate"


def test_json_that_was_cut_is_told_by_its_first_message_and_not_by_what_it_quotes() -> None:
    body = b'{"detail":[{"type":"missing","msg":"Field required","input":{"prompt":"' + b"secret " * 900
    error = read_error(422, {}, body[:MAX_BODY_BYTES], now=NOW)
    assert error.message == "Field required"


def test_what_follows_a_quoted_input_is_not_told() -> None:
    told_ = read(422, {"error": "Value error, too long, input_value='my secret', input_type=str"}).message
    assert told_ == "Value error, too long"


@given(st.text(min_size=ECHO_CHARS, max_size=60), st.text(max_size=30), st.text(max_size=30))
def test_no_run_of_the_input_survives_in_a_message(prompt: str, before: str, after: str) -> None:
    prompt = " ".join(prompt.split())
    said = without_echo(f"{before}{prompt}{after}", [prompt])
    runs = {prompt[at : at + ECHO_CHARS] for at in range(len(prompt) - ECHO_CHARS + 1)}
    rest = said.replace("[input]", "\0")
    assert not any(run in rest for run in runs if "[input]" not in run)


def test_a_short_prompt_is_withheld_whole() -> None:
    assert without_echo("bad value hush now", ["hush"]) == "bad value [input] now"
    assert without_echo("an index", ["a"]) == "an index"


def test_tokens_are_withheld() -> None:
    assert "hf_abcdefgh" not in told(
        "token hf_abcdefghij is bad", [], lambda text: text.replace("hf_abcdefghij", "***")
    )


HTTPX = [cls for cls in vars(httpx).values() if inspect.isclass(cls) and issubclass(cls, httpx.HTTPError)]
OURS = [cls for cls in vars(runtime.http).values() if inspect.isclass(cls) and issubclass(cls, httpx.HTTPError)]
EXPECTED = {
    "HTTPError": K.INVALID_OUTPUT,
    "RequestError": K.INVALID_OUTPUT,
    "HTTPStatusError": K.INVALID_OUTPUT,
    "TransportError": K.CONNECTION_LOST,
    "TimeoutException": K.TIMEOUT,
    "ConnectTimeout": K.CONNECT_FAILED,
    "ReadTimeout": K.TIMEOUT,
    "WriteTimeout": K.TIMEOUT,
    "PoolTimeout": K.CONNECT_FAILED,
    "NetworkError": K.CONNECTION_LOST,
    "ConnectError": K.CONNECT_FAILED,
    "ReadError": K.CONNECTION_LOST,
    "WriteError": K.CONNECTION_LOST,
    "CloseError": K.CONNECTION_LOST,
    "ProtocolError": K.CONNECTION_LOST,
    "LocalProtocolError": K.INTERNAL,
    "RemoteProtocolError": K.CONNECTION_LOST,
    "ProxyError": K.CONNECTION_LOST,
    "UnsupportedProtocol": K.EGRESS_REFUSED,
    "DecodingError": K.INVALID_OUTPUT,
    "TooManyRedirects": K.INVALID_OUTPUT,
    "DeadlineExceededError": K.TIMEOUT,
    "EgressRefusedError": K.EGRESS_REFUSED,
    "EncodingRefusedError": K.INVALID_OUTPUT,
    "ResponseTooLargeError": K.RESPONSE_TOO_LARGE,
}
NOTHING_SENT = {
    "ConnectTimeout", "PoolTimeout", "ConnectError", "LocalProtocolError", "UnsupportedProtocol", "EgressRefusedError",
}  # fmt: skip


def made(cls: type[httpx.HTTPError]) -> httpx.HTTPError:
    request = httpx.Request("POST", "http://x.test", headers={"authorization": "Bearer hf_secret"})
    if cls.__name__ == "ResponseTooLargeError":
        return cls(10, request=request)  # type: ignore[arg-type,call-arg]
    if cls.__name__ == "HTTPStatusError":
        return httpx.HTTPStatusError("prompt text", request=request, response=httpx.Response(500))
    return cls("prompt text")


@pytest.mark.parametrize("cls", sorted({*HTTPX, *OURS}, key=lambda cls: cls.__name__))
def test_every_exception_of_the_http_port_has_its_kind(cls: type[httpx.HTTPError]) -> None:
    """Fails when httpx or the port grows an exception that nobody has thought about."""
    error = of_exception(made(cls))
    assert error.kind == EXPECTED[cls.__name__]
    assert error.nothing_sent == (cls.__name__ in NOTHING_SENT)
    assert "prompt text" not in error.message


def test_what_is_no_exception_of_the_port_is_a_fault_of_ours() -> None:
    assert of_exception(httpx.StreamConsumed()).kind == K.INTERNAL
    assert of_exception(httpx.InvalidURL("prompt text")).message == "InvalidURL"
