"""Any text is answered by search and recommend, or refused by a typed error; a name that is typed just so is first."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.shelf import AT, shelf
from hub.discovery.known import Unknown
from hub.index.store import Index
from hub.recommend.recommend import recommend
from schemas.discovery import Criteria
from schemas.recommendation import RecommendationContext, TaskDescription


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    made = Index(folder)
    made.apply(list(shelf(50)))
    yield made
    made.close()


TONGUES = (
    "german french italian spanish dutch polish czech danish swedish finnish greek turkish arabic hindi urdu tamil "
    "telugu thai korean japanese russian ukrainian hungarian romanian bulgarian croatian serbian slovak hebrew "
    "persian bengali nepali marathi gujarati"
)
HOSTILE = [
    "\0", "a\0b", "\ud7ff\u0301" * 50, "🦙🔥🤗", "   ", '"', "AND OR NOT NEAR", 'name:"bert" AND *', "bert*",
    "^bert - {name author} : x", "(((((", "NEAR(a b, 5)", "' OR 1=1 --", ".*(a+)+$", "[a-z]{1,99}", "%_%", "\\", "𝔟𝔢𝔯𝔱",
    "ＢＥＲＴ", "مرحبا", "שלום", "ภาษาไทย", "हिन्दी", "1" * 300, "9" * 20 + "B", "under " * 50, "not " * 70,
    "\u202eabc", "翻译" * 140, "https://huggingface.co/", "hf.co/?x#y", "-1 GB", "1e999 parameters", "under 1/0 GB",
    "$1 per 0 tokens", "at most $99999999 per request", "$99999999999999999999 a month", "9" * 900 + " downloads",
    "made in the last 999999999 days", "not " + ", not ".join(TONGUES.split(" ")),
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_is_answered(index: Index, text: str) -> None:
    found = index.search(Criteria(text=text, limit=5), known=Unknown(), now=AT)
    advice = recommend(
        TaskDescription(sentence=text),
        RecommendationContext(at=AT),
        search=lambda criteria: index.search(criteria, known=Unknown(), now=AT),
        known=Unknown(),
    )

    assert len(found.models) <= 5
    assert advice.recommendations or advice.notes


@pytest.mark.parametrize("unit", ["a", "翻", "not ", "7B ", "🦙", "a-", "under 3 "])
def test_a_text_of_ten_thousand_characters_is_refused_with_its_limit(unit: str) -> None:
    text = (unit * 10_000)[:10_000]

    with pytest.raises(ValidationError, match="at most"):
        Criteria(text=text)
    with pytest.raises(ValidationError, match="at most 2000"):
        TaskDescription(sentence=text)


@pytest.mark.parametrize("unit", ["a", "翻", "not ", "7B ", "under 3 ", "between 1 and ", "한", "ال"])
def test_the_longest_sentence_is_read(index: Index, unit: str) -> None:
    found = recommend(
        TaskDescription(sentence=(unit * 2_000)[:2_000]),
        RecommendationContext(at=AT),
        search=lambda criteria: index.search(criteria, known=Unknown(), now=AT),
        known=Unknown(),
    )

    assert found.reasoning is not None


@pytest.mark.parametrize(
    "query",
    [
        "google/vit-base-patch16-224", "vit-base-patch16-224", "vit base patch16 224", "VIT_BASE_PATCH16_224",
        "vit-base-patch16-224 model", "https://huggingface.co/google/vit-base-patch16-224",
        "hf.co/google/vit-base-patch16-224/tree/main", "vitbasepatch16224",
    ],
)  # fmt: skip
def test_a_name_that_is_asked_for_is_first(index: Index, query: str) -> None:
    found = index.search(Criteria(text=query, limit=3), known=Unknown(), now=AT)

    assert found.models[0].entry.id == "google/vit-base-patch16-224"


def test_a_limit_in_a_query_is_no_word_of_a_name(index: Index) -> None:
    found = index.search(Criteria(text="llms under 3b", limit=10), known=Unknown(), now=AT)

    assert found.models
    assert all((one.entry.parameters or 0) <= 3_000_000_000 for one in found.models[:3])
