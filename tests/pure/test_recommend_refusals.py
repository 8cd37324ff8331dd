"""What a sentence refuses is never read as what it wants: negations of many kinds, before and behind, of names and of
limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.recommend.analyse import analyse
from hub.recommend.numbers import number
from schemas.recommendation import TaskAnalysis, TaskDescription
from tests.support.shelf_search import AT


def understood(sentence: str) -> TaskAnalysis:
    return analyse(TaskDescription(sentence=sentence), at=AT)


@pytest.mark.parametrize(
    ("sentence", "field", "values"),
    [
        ("a chatbot, nothing Chinese", "denied_languages", ("zh",)),
        ("keine Modelle von Google, Übersetzung", "denied_authors", ("google",)),
        ("Bild zu Text, keine Lizenz mit GPL", "denied_licenses", ("GPL",)),
        ("keine Daten in die USA senden", "denied_regions", ("us",)),
        ("don't send data to the US", "denied_regions", ("us",)),
        ("do not host in America", "denied_regions", ("us",)),
        ("data must not go to China or Russia", "denied_regions", ("cn", "ru")),
        ("I hate OpenAI. chat model", "denied_authors", ("openai",)),
        ("Google isn't an option, translation", "denied_authors", ("google",)),
        ("Meta models are forbidden, summarization", "denied_authors", ("meta-llama", "facebook")),
        ("GPL and AGPL are not allowed, chat", "denied_licenses", ("GPL", "AGPL")),
        ("Groq is out, chat", "denied_providers", ("groq",)),
        ("quantized is not ok, chat", "denied_tags", ("quantized",)),
    ],
)
def test_what_is_refused_is_a_denial_and_no_wish(sentence: str, field: str, values: tuple[str, ...]) -> None:
    found = understood(sentence).constraints

    assert getattr(found, field) == values
    wish = field.removeprefix("denied_")
    assert not getattr(found, wish, ()), sentence


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("nothing bigger than 3 gigs", {"max_bytes": 3_000_000_000}),
        ("a summariser, nothing under 1B parameters", {"min_parameters": 1_000_000_000}),
        ("skip anything over 3B", {"max_parameters": 3_000_000_000}),
        ("forget about models above 7B", {"max_parameters": 7_000_000_000}),
        ("don't show me models above 7B", {"max_parameters": 7_000_000_000}),
        ("never over 3B", {"max_parameters": 3_000_000_000}),
        ("without exceeding 2 GB", {"max_bytes": 2_000_000_000}),
        ("not smaller than 500M parameters", {"min_parameters": 500_000_000}),
        ("over 1B but nothing over 8B", {"min_parameters": 1_000_000_000, "max_parameters": 8_000_000_000}),
        ("not more than 3B", {"max_parameters": 3_000_000_000}),
        ("no more than 3B", {"max_parameters": 3_000_000_000}),
        ("no fewer than 3B", {"min_parameters": 3_000_000_000}),
        ("no more than 2 cents a call", {"max_nanousd_per_request": 20_000_000}),
        ("under 3B", {"max_parameters": 3_000_000_000}),
        ("updated within 3 months", {"recent_days": 90}),
    ],
)
def test_a_limit_that_is_turned_round_limits_the_other_side(sentence: str, told: dict[str, Any]) -> None:
    found = understood(sentence).constraints

    assert {name: value for name, value in found.model_dump(exclude_defaults=True).items() if value} == told


@pytest.mark.parametrize(
    ("sentence", "nanousd"),
    [
        ("less than a tenth of a cent per request", 1_000_000),
        ("1/10 of a cent per request", 1_000_000),
        ("a third of a cent per request", 3_333_333),
        ("under half a cent per call", 5_000_000),
        ("under a quarter of a dollar per request", 250_000_000),
    ],
)
def test_a_part_of_a_cent_is_not_read_as_a_cent(sentence: str, nanousd: int) -> None:
    assert understood(sentence).constraints.max_nanousd_per_request == nanousd


@given(st.integers(1, 9_999))
def test_a_fraction_of_one_is_its_value(denominator: int) -> None:
    assert number(f"1/{denominator} of a") == pytest.approx(1 / denominator)


def test_a_refusal_that_ends_its_clause_refuses_nothing_behind_it() -> None:
    found = understood("GPL is not allowed, chat")

    assert found.task == "chat-completion"
    assert found.constraints.denied_tasks == ()


def test_what_is_not_needed_is_neither_wanted_nor_refused() -> None:
    found = understood("chat, English is not needed, commercial use not needed")

    assert found.languages == ()
    assert found.constraints.denied_languages == ()
    assert found.constraints.commercial is False
    assert "not needed" in {one.name for one in found.understood}


def test_what_does_not_matter_ends_at_the_comma() -> None:
    """Cheap is wanted, and the price matters; only quality does not."""
    found = understood("fast and cheap, quality does not matter")
    other = understood("best possible quality, price does not matter")

    assert set(found.preferences) == {"cheap", "fast"}
    assert "best" in other.preferences
    assert other.not_understood == ()


@pytest.mark.parametrize(
    ("sentence", "part"),
    [
        ("nothing from China, chat", "China"),
        ("an open source chat model", "open source"),
        ("no fine-tunes or merges, text generation", "fine-tunes"),
    ],
)
def test_a_refusal_that_cannot_be_held_is_told_and_not_searched_for(sentence: str, part: str) -> None:
    found = understood(sentence)

    assert any(part in one for one in found.not_understood)
    assert part.lower() not in found.topic


def test_nothing_but_one_asks_for_that_one() -> None:
    assert understood("nothing but MIT licence, chat").constraints.licenses == ("MIT",)


def test_all_makers_of_either_or_are_wanted() -> None:
    assert understood("either Mistral or Qwen, chat").constraints.authors == ("mistralai", "Qwen")


def test_a_dialect_that_is_refused_does_not_refuse_its_language() -> None:
    found = understood("German but not Swiss German, sentiment")

    assert found.languages == ("de",)
    assert found.constraints.denied_languages == ()
    assert any("Swiss German" in one for one in found.not_understood)


@pytest.mark.parametrize("sentence", ["exclude anything with remote code", "exclude remote code", "no remote code"])
def test_remote_code_that_is_excluded_is_a_constraint(sentence: str) -> None:
    found = understood(sentence)

    assert found.constraints.custom_code is False
    assert found.task is None
    assert found.domains == ()


@pytest.mark.parametrize(
    "sentence", ["no cloud, runs locally on my M1 MacBook with 16 GB", "$5/day for 10000 calls", "8k+ context"]
)
def test_conditions_alone_name_no_task(sentence: str) -> None:
    assert understood(sentence).task is None
