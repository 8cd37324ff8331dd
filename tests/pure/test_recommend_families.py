"""Families of models can be ruled out by name; makers named beside them alike."""

from datetime import UTC, datetime

import pytest

from hub.discovery.known import Unknown
from hub.recommend.analyse import analyse
from hub.recommend.candidates import bears, candidate
from hub.recommend.constraints import reasons
from schemas.recommendation import Constraints, TaskAnalysis, TaskDescription
from tests.support.shelf_search import entry

AT = datetime(2026, 11, 22, tzinfo=UTC)


def asked(sentence: str) -> Constraints:
    return analyse(TaskDescription(sentence=sentence), at=AT).constraints


@pytest.mark.parametrize(
    ("sentence", "names", "authors"),
    [
        ("an LLM, not llama", ("llama",), ()),
        ("any model but Llama 3, chat", ("llama",), ()),
        ("chat, not qwen or gemma", ("gemma",), ("Qwen",)),
        ("not gemma or qwen, chat", ("gemma",), ("Qwen",)),
        ("whisper is not ok, transcription", ("whisper",), ()),
        ("gemma or llama, chat", (), ()),
        ("bert is not needed, ner", (), ()),
    ],
)
def test_a_family_is_ruled_out_and_never_demanded(
    sentence: str, names: tuple[str, ...], authors: tuple[str, ...]
) -> None:
    found = asked(sentence)

    assert (found.denied_names, found.denied_authors, found.authors) == (names, authors, ())


def test_a_familys_licence_is_not_the_family() -> None:
    found = asked("chat, no llama license")

    assert (found.denied_names, found.denied_licenses) == ((), ("vendor",))


@pytest.mark.parametrize(
    ("repo", "family", "has"),
    [
        ("meta-llama/Llama-3.1-8B", "llama", True),
        ("org/qwen2.5-7b", "qwen", True),
        ("google/flan-t5-large", "flan-t5", True),
        ("FacebookAI/roberta-base", "bert", False),
        ("llama/other", "llama", False),
    ],
)
def test_a_name_has_a_family_as_a_whole_word(repo: str, family: str, has: bool) -> None:
    assert bears(repo, family) is has


def test_what_was_made_of_a_family_is_out_as_well() -> None:
    one = candidate(
        entry("org/my-tune", base_models=("meta-llama/Llama-3.1-8B",)), Unknown(), task=None, tenant="default"
    )

    found = reasons(one, TaskAnalysis(), (Constraints(denied_names=("llama",)),), at=AT)

    assert [reason.name for reason in found] == ["denied_names"]
    assert reasons(one, TaskAnalysis(), (Constraints(denied_names=("qwen",)),), at=AT) == []
