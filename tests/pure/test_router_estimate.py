"""Estimates and money: the bounds hold whatever the numbers are."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import estimate
from router.estimate import rates
from router.load import COMPUTE_MS_PER_OUTPUT_TOKEN, EXPECTED_OUTPUT_TOKENS, Load, load_of
from schemas.assignment import Price
from schemas.base import MAX_NANOUSD
from schemas.tasks import MODALITIES
from schemas.units import COMPUTE_MS, OUTPUT_TOKENS, UNITS, Unit
from workers.cost import charge

NAMES = [unit.name for unit in UNITS if not unit.part_of]
PARTS = [unit for unit in UNITS if unit.part_of]
EACH = st.sampled_from([0, 0, 1, 7, 120, 3_000_000]) | st.integers(0, 10**11)
PRICES = st.builds(
    Price, **{unit.price: EACH for unit in UNITS}, source=st.just("test"), as_of=st.just("2026-11-22")
)  # fmt: skip
COUNTS = st.integers(0, 10**6)
BOUNDS = st.fixed_dictionaries({name: COUNTS for name in NAMES if name != COMPUTE_MS})
LOADS = st.builds(lambda bounds, compute: Load(bounds, bounds, bounds, compute), BOUNDS, st.integers(0, 10**5))
CEILINGS = st.integers(0, 10**15)


def price(**units: int) -> Price:
    return Price(**units, source="t", as_of="t")


@settings(deadline=None)
@given(PRICES, LOADS, CEILINGS)
def test_input_and_output_together_never_cost_more_than_the_ceiling(asked: Price, load: Load, ceiling: int) -> None:
    """A63: the input's cost is taken off first, at the chosen model's own prices, in integers."""
    charged = rates(asked)
    tokens = estimate.affordable_tokens(charged, load, ceiling)
    if tokens is None:
        tokens = 10**6
    if tokens < 0:
        assert estimate.least_ceiling(charged, load, 0) > ceiling
        return
    assert estimate.least_ceiling(charged, load, tokens) <= ceiling


@settings(deadline=None)
@given(PRICES, LOADS, CEILINGS)
def test_not_one_token_is_left_lying_about(asked: Price, load: Load, ceiling: int) -> None:
    charged = rates(asked)
    tokens = estimate.affordable_tokens(charged, load, ceiling)
    if tokens is not None and tokens >= 0:
        assert estimate.least_ceiling(charged, load, tokens + 1) > ceiling


@settings(deadline=None)
@given(PRICES, LOADS, CEILINGS, COUNTS, COUNTS)
def test_one_attempt_is_never_taken_to_cost_more_than_the_ceiling(
    asked: Price, load: Load, ceiling: int, tokens: int, timeout_ms: int
) -> None:
    assert estimate.most_cost(rates(asked), load, tokens, ceiling=ceiling, silent_ms=timeout_ms) <= ceiling


@settings(deadline=None)
@given(
    PRICES, LOADS, st.lists(st.floats(0, 1), min_size=len(NAMES), max_size=len(NAMES)), COUNTS, COUNTS,
    st.dictionaries(st.sampled_from(PARTS), st.floats(0, 1)), st.sets(st.sampled_from(NAMES)), st.floats(0, 1),
)  # fmt: skip
def test_whatever_is_used_within_the_bounds_is_charged_within_the_most_that_was_told(
    asked: Price, load: Load, shares: list[float], tokens: int, timeout_ms: int, parts: dict[Unit, float],
    untold: set[str], expected: float,
) -> None:  # fmt: skip
    """Against the bill's own sum (`workers.cost.charge`), for every unit, any part of it and any price; whatever of it
    the provider does not tell, and whether or not we can estimate that."""
    bounds = {**load.most, COMPUTE_MS: timeout_ms, OUTPUT_TOKENS: load.most[OUTPUT_TOKENS] + tokens}
    used = {name: int(bounds[name] * share) for name, share in zip(NAMES, shares, strict=True)}
    used |= {part.name: int(used[part.part_of] * share) for part, share in parts.items()}
    most = estimate.most_cost(rates(asked), load, tokens, ceiling=10**30, silent_ms=timeout_ms)
    assert charge(used, asked).nanousd <= most
    told = {name: count for name, count in used.items() if name not in untold}
    estimates = {name: used[name] for name in sorted(untold)[::2]}
    assert charge(told, asked, estimate=estimates, expected_nanousd=int(most * expected)).nanousd <= most
    if tokens and asked.nanousd_per_compute_ms:
        assert most == 10**30  # it streams: nothing bounds how long
        return
    assert charge(bounds, asked).nanousd == min(most, MAX_NANOUSD)


@settings(deadline=None)
@given(PRICES, st.dictionaries(st.sampled_from(NAMES), COUNTS))
def test_money_is_the_bills_own_sum(asked: Price, units: dict[str, int]) -> None:
    if asked.is_known:
        assert min(estimate.money(rates(asked), units), MAX_NANOUSD) == charge(units, asked).nanousd


@settings(deadline=None)
@given(
    st.sampled_from(sorted(MODALITIES)),
    st.sampled_from([unit for unit in UNITS if unit.name != COMPUTE_MS]),
    st.dictionaries(
        st.sampled_from(["width", "height", "num_inference_steps", "num_frames", "target_size"]),
        st.none() | st.integers(-1, 4096) | st.floats(0, 1e9) | st.fixed_dictionaries({"width": st.integers(1, 99)}),
    ),
    CEILINGS,
)
def test_a_charged_unit_without_a_bound_takes_the_whole_ceiling(
    task: str, unit: Any, parameters: dict[str, Any], ceiling: int
) -> None:
    load = load_of(task, {"inputs": "AAAA", "parameters": parameters})
    charged = rates(price(**{unit.price: 1_000}))
    most = estimate.most_cost(charged, load, 0, ceiling=ceiling, silent_ms=30_000)
    if (unit.part_of or unit.name) not in load.most:
        assert most == ceiling
    assert estimate.expected_cost(charged, load, 0) >= 0


def test_each_started_nano_dollar_counts_once_per_call() -> None:
    charged = rates(price(input_nanousd_per_million_tokens=1, output_nanousd_per_million_tokens=1))
    assert estimate.money(charged, {"input_tokens": 1, "output_tokens": 1}) == 1
    assert estimate.money(charged, {"input_tokens": 500_000, "output_tokens": 500_000}) == 1
    assert estimate.money(charged, {"input_tokens": 500_000, "output_tokens": 500_001}) == 2


def test_a_call_is_expected_to_cost_at_least_what_it_starts() -> None:
    load = Load({"input_tokens": 1}, {"input_tokens": 1}, {"input_tokens": 1}, 0)
    assert estimate.expected_cost(rates(price(input_nanousd_per_million_tokens=1)), load, 0) == 1
    assert estimate.expected_cost(rates(price(input_nanousd_per_million_tokens=1_500_000)), load, 0) == 2


def test_a_ceiling_buys_tokens_of_what_the_inputs_upper_bound_leaves() -> None:
    """Not of what is left of it by what the input is expected to be."""
    load = Load(expected={"input_tokens": 1}, most={"input_tokens": 10}, least={"input_tokens": 10}, compute_ms=0)
    both = rates(price(input_nanousd_per_million_tokens=10**6, output_nanousd_per_million_tokens=2 * 10**6))
    assert [estimate.affordable_tokens(both, load, ceiling) for ceiling in (9, 10, 13, 14)] == [-1, 0, 1, 2]


def test_where_compute_time_is_charged_each_token_of_output_takes_its_time_of_the_ceiling() -> None:
    load = Load({"input_tokens": 1}, {"input_tokens": 1}, {"input_tokens": 1}, compute_ms=7)
    charged = rates(price(nanousd_per_compute_ms=3))
    each = 3 * COMPUTE_MS_PER_OUTPUT_TOKEN
    bought = [estimate.affordable_tokens(charged, load, 21 + spare) for spare in (-1, 0, each - 1, each, 10 * each)]
    assert bought == [-1, 0, 0, 1, 10]


def test_where_output_is_not_charged_a_ceiling_pays_for_any_length_or_not_even_for_the_input() -> None:
    load = Load({"input_tokens": 10}, {"input_tokens": 10}, {"input_tokens": 10}, 0)
    charged = rates(price(input_nanousd_per_million_tokens=10**6))
    assert [estimate.affordable_tokens(charged, load, ceiling) for ceiling in (9, 10)] == [-1, None]


def test_an_answer_is_not_expected_to_be_longer_than_it_may_be() -> None:
    load = Load({"input_tokens": 1}, {"input_tokens": 1}, {"input_tokens": 1}, 0)
    charged = rates(price(output_nanousd_per_million_tokens=10**6))
    lengths = 5, EXPECTED_OUTPUT_TOKENS, EXPECTED_OUTPUT_TOKENS + 1
    assert [estimate.expected_cost(charged, load, one) for one in lengths] == [5, *[EXPECTED_OUTPUT_TOKENS] * 2]


def test_compute_time_costs_by_the_millisecond() -> None:
    assert estimate.money(rates(price(nanousd_per_compute_ms=120)), {"input_tokens": 10**6, "compute_ms": 3}) == 360


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=6))
def test_no_byte_level_tokenizer_makes_more_tokens_than_the_bound(texts: list[str]) -> None:
    """A token has at least one byte, and a chat template puts some tokens around each message."""
    messages = [{"role": "user", "content": text} for text in texts]
    load = load_of("chat-completion", {"messages": messages})
    assert load.most["input_tokens"] >= sum(len(text.encode()) + 16 for text in texts) + 64
    generation = load_of("text-generation", {"inputs": texts[0]})
    assert generation.most["input_tokens"] >= len(texts[0].encode()) + 64


def test_every_text_of_a_list_has_marks_of_its_own() -> None:
    """An embedding model puts two tokens around each text: a thousand letters are three thousand tokens."""
    assert load_of("feature-extraction", {"inputs": ["x"] * 1_000}).most["input_tokens"] >= 3_000


@pytest.mark.parametrize(
    ("task", "task_input", "unit"),
    [
        ("image-to-text", {"inputs": "AAAA"}, "input_tokens"),
        ("image-to-image", {"inputs": "AAAA"}, "output_tokens"),
        ("text-to-image", {"inputs": "a fox"}, "output_tokens"),
        ("automatic-speech-recognition", {"inputs": "AAAA"}, "input_tokens"),
        ("zero-shot-classification", {"inputs": "a", "parameters": {"candidate_labels": ["b"] * 9}}, "input_tokens"),
        ("table-question-answering", {"inputs": {"table": {"long column": ["1"]}, "question": "?"}}, "input_tokens"),
    ],
)
def test_tokens_that_nobody_can_count_before_the_call_have_no_bound_and_are_not_taken_for_none(
    task: str, task_input: dict[str, Any], unit: str
) -> None:
    load = load_of(task, task_input)
    assert unit not in load.most
    assert load.expected[unit] > 0


def test_tools_count_more_than_their_bytes() -> None:
    tool = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "Book a table"}]}
    with_tool = load_of("chat-completion", {**asked, "tools": [tool]})
    assert with_tool.most["input_tokens"] - load_of("chat-completion", asked).most["input_tokens"] >= 200


def test_an_image_in_a_chat_counts_a_stated_bound_of_tokens_and_none_of_its_base64() -> None:
    def chat(url: str) -> dict[str, Any]:
        words = {"type": "text", "text": "What is this?"}
        return {"messages": [{"role": "user", "content": [words, {"type": "image_url", "image_url": {"url": url}}]}]}

    small, large = load_of("chat-completion", chat("AAAA")), load_of("chat-completion", chat("A" * 100_000))
    assert small == large
    assert small.images == 1
    assert 16_384 < small.most["input_tokens"] < 17_000


@pytest.mark.parametrize(
    ("task", "task_input", "unit", "expected", "most"),
    [
        ("text-to-image", {"inputs": "a fox"}, "images", 1, 1),
        ("text-to-image", {"inputs": "a fox"}, "pixels", 1_048_576, None),
        ("text-to-image", {"inputs": "x", "parameters": {"width": 512, "height": 500}}, "pixels", 256_000, 262_144),
        ("text-to-image", {"inputs": "x", "parameters": {"width": 512}}, "pixels", 1_048_576, None),
        ("text-to-image", {"inputs": "x", "parameters": {"num_inference_steps": 4}}, "steps", 4, 4),
        ("text-to-image", {"inputs": "x"}, "steps", 30, None),
        (
            "image-to-image",
            {"inputs": "AAAA", "parameters": {"target_size": {"width": 64, "height": 64}}},
            "pixels", 4096, 4096,
        ),
        ("text-to-video", {"inputs": "x", "parameters": {"num_frames": 80}}, "video_ms", 5_000, 10_000),
        ("image-to-video", {"inputs": "AAAA"}, "video_ms", 5_000, None),
        ("text-to-speech", {"inputs": "Grüße"}, "characters", 5, 7),
        ("text-to-speech", {"inputs": "x" * 100}, "audio_ms", 7_000, None),
        ("automatic-speech-recognition", {"inputs": "https://example.org/a.wav"}, "audio_ms", 10_000, None),
        ("automatic-speech-recognition", {"inputs": "A" * 64_000}, "audio_ms", 3_000, None),
        ("automatic-speech-recognition", {"inputs": {"$ref": {"duration_ms": 60_000}}}, "audio_ms", 60_000, 64_000),
        ("automatic-speech-recognition", {"inputs": {"$ref": 7}}, "audio_ms", 10_000, None),
        ("image-classification", {"inputs": {"$ref": {"width": 20, "height": 10}}}, "pixels", 200, 200),
        ("image-classification", {"inputs": "AAAA"}, "images", 1, 1),
        ("image-classification", {"inputs": "A" * 9_000}, "input_tokens", 1_024, None),
        ("document-question-answering", {"inputs": {"image": "AAAA", "question": "Who?"}}, "images", 1, 1),
        ("video-classification", {"inputs": "AAAA"}, "video_ms", 5_000, None),
        ("fill-mask", {"inputs": "x"}, "calls", 1, 1),
        ("fill-mask", {"inputs": "x"}, "output_tokens", 0, 0),
        ("summarization", {"inputs": "x"}, "output_tokens", 256, None),
    ],
)  # fmt: skip
def test_each_task_brings_its_units(
    task: str, task_input: dict[str, Any], unit: str, expected: int, most: int | None
) -> None:
    load = load_of(task, task_input)
    assert (load.expected[unit], load.most.get(unit)) == (expected, most)


def test_what_the_worker_measures_refuses_no_ceiling_before() -> None:
    """A sound of unknown length may last a second: who knows holds it against the ceiling."""
    charged = rates(price(nanousd_per_audio_second=1_000_000))
    unknown = load_of("automatic-speech-recognition", {"inputs": "https://example.org/a.wav"})
    told = load_of("automatic-speech-recognition", {"inputs": {"$ref": {"duration_ms": 60_000}}})
    assert estimate.least_ceiling(charged, unknown, 0) == 0 < estimate.expected_cost(charged, unknown, 0)
    assert estimate.least_ceiling(charged, told, 0) == 64_000_000
    assert estimate.most_cost(charged, unknown, 0, ceiling=5, silent_ms=1) == 5


def test_the_compute_time_of_a_queue_that_is_looked_into_again_has_no_bound() -> None:
    """Each look is answered at once: no silence tells how long the work takes."""
    charged = rates(price(nanousd_per_compute_ms=3))
    load = load_of("text-to-image", {"inputs": "a fox"})
    assert estimate.most_cost(charged, load, 0, ceiling=10**9, silent_ms=30_000) == 90_000
    assert estimate.most_cost(charged, load, 0, ceiling=10**9, silent_ms=None) == 10**9


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)  # a larger one is a float when it has been read
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["inputs", "messages", "content", "image_url", "url", "$ref", "image", "parameters"])
            | st.sampled_from(["width", "height", "duration_ms", "target_size", "num_frames", "num_inference_steps"]),
            inner, max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None)
@given(
    st.sampled_from(sorted(MODALITIES)), st.dictionaries(st.sampled_from(["inputs", "messages", "parameters"]), JSON)
)
def test_any_input_can_be_counted(task: str, task_input: dict[str, Any]) -> None:
    load = load_of(task, task_input)
    assert all(count >= 0 for counts in (load.expected, load.most, load.least) for count in counts.values())
    assert set(load.least) <= set(load.expected)
    assert all(load.expected[unit] <= most for unit, most in load.most.items())


@pytest.mark.parametrize(
    ("task", "task_input", "tokens"),
    [
        ("chat-completion", {"messages": [], "max_tokens": 20}, 20),
        ("chat-completion", {"messages": [], "max_tokens": 20.0}, 20),
        ("chat-completion", {"messages": [], "max_tokens": None}, None),
        ("chat-completion", {"messages": [], "max_completion_tokens": 7}, 7),
        ("chat-completion", {"messages": [], "parameters": {"max_new_tokens": 7}}, None),
        ("text-generation", {"inputs": "x", "parameters": {"max_new_tokens": 7}}, 7),
        ("text-generation", {"inputs": "x", "max_tokens": 7}, None),
        ("feature-extraction", {"inputs": "x", "max_tokens": 7}, None),
    ],
)
def test_a_wish_for_tokens_is_read_where_the_task_keeps_it(
    task: str, task_input: dict[str, Any], tokens: int | None
) -> None:
    assert estimate.asked_tokens(task, task_input) == tokens
