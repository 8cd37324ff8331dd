"""Words of other languages are read as English ones, and evidence is told in the words that were written."""

from datetime import UTC, datetime

import pytest

from hub.discovery.gloss import glossed, read
from hub.discovery.phrases import plain
from hub.recommend.analyse import analyse
from hub.recommend.spelling import spelled
from schemas.recommendation import TaskAnalysis, TaskDescription


def understood(sentence: str) -> TaskAnalysis:
    return analyse(TaskDescription(sentence=sentence), at=datetime(2026, 11, 22, tzinfo=UTC))


@pytest.mark.parametrize(
    ("sentence", "task", "languages"),
    [
        ("把德语翻译成法语", "translation", ("de", "fr")),
        ("ドイツ語の音声認識", "automatic-speech-recognition", ("de",)),
        ("일본어 텍스트 분류", "text-classification", ("ja",)),
        ("генерация изображений", "text-to-image", ()),
        ("تلخيص الأخبار", "summarization", ()),
        ("riconoscimento vocale in tedesco", "automatic-speech-recognition", ("de",)),
    ],
)
def test_a_task_is_read_in_other_scripts(sentence: str, task: str, languages: tuple[str, ...]) -> None:
    found = understood(sentence)

    assert (found.task, found.languages) == (task, languages)


def test_limits_are_read_in_chinese_with_its_own_thousands() -> None:
    found = understood("130亿参数以下的对话模型，延迟低于200毫秒，可商用").constraints

    assert (found.max_parameters, found.max_latency_ms, found.commercial) == (13_000_000_000, 200, True)


def test_what_must_not_be_sold_is_not_taken_for_the_opposite() -> None:
    assert not understood("翻訳モデル、非商用").constraints.commercial


def test_evidence_is_told_in_the_words_that_were_written() -> None:
    found = understood("语音识别，德语")

    assert [(one.value, one.words) for one in found.understood if one.name == "language"] == [("de", "德语")]


@pytest.mark.parametrize("sentence", ["", "plain English stays", "7B以下的中文", "перевод", "📷\0語", "한국어로 요약"])
def test_every_character_knows_where_it_stood(sentence: str) -> None:
    for text, places in (glossed(*plain(sentence)), spelled(*glossed(*plain(sentence)))):
        assert len(places) == len(text) + 1
        assert places == sorted(places)
        assert places[-1] == len(sentence)


def test_english_is_left_as_it_is() -> None:
    text = "i've a model for speech, do not translate it to german"

    assert spelled(*glossed(*plain(text)))[0] == text


@pytest.mark.parametrize("line", ["no colon", "english: one,,two"])
def test_a_line_that_is_no_gloss_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        read(line)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("undr", "under"),
        ("commerical", "commercial"),
        ("apahce", "apache"),
        ("licens", "license"),
        ("latancy", "latency"),
    ],
)
def test_a_slip_in_a_word_of_a_condition_is_put_right(typed: str, meant: str) -> None:
    assert spelled(*plain(f"x {typed} 2"))[0] == f"x {meant} 2"


@pytest.mark.parametrize("word", ["contest", "month", "provides", "perimeters", "unter", "expect", "requested"])
def test_another_word_is_not_put_right(word: str) -> None:
    assert spelled(*plain(word))[0] == word
