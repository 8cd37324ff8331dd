"""Small labelled sets of our own (CC0-1.0), in the form in which the dataset viewer tells rows. Pure.

Sentences are made of parts, so that offsets and labels follow from how a sentence was made and cannot be wrong.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

Row = dict[str, Any]


class Labelled(NamedTuple):
    """One data set with one configuration."""

    name: str
    task: str
    config: str
    split: str
    features: tuple[tuple[str, Row], ...]
    rows: tuple[Row, ...]


_TEXT: Row = {"dtype": "string", "_type": "Value"}
_GOOD = (
    "a warm and clever film", "worth every penny", "the best soup I have had in years", "friendly and quick service",
    "works exactly as promised", "a joy from the first page to the last", "clean rooms and a lovely view",
    "so good that I bought a second one", "the staff could not have been kinder", "a delight for the whole family",
)  # fmt: skip
_BAD = (
    "a dull and endless film", "a complete waste of money", "the soup was cold and salty", "rude and slow service",
    "broke after two days", "I gave up after thirty pages", "dirty rooms and a broken window",
    "I want my money back", "nobody answered my complaint", "the worst evening of the year",
)  # fmt: skip
_FRAMES = ("{}.", "Honestly, {}.", "In short: {}!", "My friends and I agree: {}.")

_PEOPLE = ("Anna Berg", "Omar Haddad", "Mei Lin", "John Carter", "Lucia Rossi")
_FIRMS = ("Siemens", "Toyota", "Nestle", "Oxfam", "Reuters")
_PLACES = ("Berlin", "Nairobi", "Lisbon", "Kyoto", "Toronto")
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

_FACTS = (
    ("The bridge over the Aller was built in {} by {}.", "When was the bridge built?", "Who built the bridge?",
     (("1874", "a railway company"), ("1921", "the town itself"), ("1956", "army engineers"))),
    ("{} opened the first bakery of the village in {}.", "Who opened the first bakery?", "When did the bakery open?",
     (("Clara Voss", "1902"), ("the brothers Klein", "1899"), ("a widow from Lyon", "1911"))),
    ("The expedition carried {} and turned back near {}.", "What did the expedition carry?", "Where did it turn back?",
     (("forty barrels of water", "the salt flats"), ("two small boats", "the third cataract"))),
)  # fmt: skip
SPOKEN = (
    "the train leaves at noon", "please close the window", "seven boats came back before the storm",
    "my sister works in a hospital", "there is fresh bread on the table", "we meet again on the first of march",
    "the garden is quiet in winter", "turn left after the old church",
)  # fmt: skip


@cache
def sets() -> dict[str, Labelled]:
    """All of them by name."""
    made = (_reviews(), _people(), _questions(), _spoken())
    return {one.name: one for one in made}


def _reviews() -> Labelled:
    rows = [
        {"text": frame.format(text[0].upper() + text[1:] if frame[0] == "{" else text), "label": label}
        for frame in _FRAMES
        for pair in zip(_BAD, _GOOD, strict=True)
        for label, text in enumerate(pair)
    ]
    features = (("text", _TEXT), ("label", {"names": ["negative", "positive"], "_type": "ClassLabel"}))
    return Labelled("novix-sandbox/reviews", "text-classification", "default", "test", features, tuple(rows))


def _people() -> Labelled:
    rows = []
    for number in range(25):
        who, firm, where = _PEOPLE[number % 5], _FIRMS[(number // 5) % 5], _PLACES[(number * 2 + number // 5) % 5]
        first, last = who.split()
        parts = [(first, 1), (last, 2), ("joined", 0), (firm, 3), ("in", 0), (where, 5), (".", 0)]
        if number % 2:
            parts = [("In", 0), (where, 5), (firm, 3), ("met", 0), (first, 1), (last, 2), ("yesterday", 0), (".", 0)]
        rows.append({"id": str(number), "tokens": [word for word, _ in parts], "ner_tags": [tag for _, tag in parts]})
    listed = {"feature": {"names": list(TAGS), "_type": "ClassLabel"}, "_type": "List"}
    features = (("id", _TEXT), ("tokens", {"feature": _TEXT, "_type": "List"}), ("ner_tags", listed))
    return Labelled("novix-sandbox/people-and-places", "token-classification", "default", "test", features, tuple(rows))


def _questions() -> Labelled:
    rows: list[Row] = []
    for frame, *asked, pairs in _FACTS:
        for pair in pairs:
            context = frame.format(*pair)
            for question, found in zip(asked, pair, strict=True):
                answers = {"text": [found], "answer_start": [context.index(found)]}
                rows.append({"id": f"q{len(rows)}", "context": context, "question": question, "answers": answers})
    starts = {"feature": {"dtype": "int32", "_type": "Value"}, "_type": "List"}
    spans = {"text": {"feature": _TEXT, "_type": "List"}, "answer_start": starts}
    features = (("id", _TEXT), ("context", _TEXT), ("question", _TEXT), ("answers", spans))
    return Labelled("novix-sandbox/questions", "question-answering", "default", "validation", features, tuple(rows))


def _spoken() -> Labelled:
    rows: list[Row] = [{"audio": number, "text": text} for number, text in enumerate(SPOKEN)]
    features = (("audio", {"sampling_rate": 16_000, "_type": "Audio"}), ("text", _TEXT))
    return Labelled("novix-sandbox/spoken", "automatic-speech-recognition", "default", "test", features, tuple(rows))


def hub_row(one: Labelled, made_id: str, created: str) -> Row:
    """The set as a row of `/api/datasets`."""
    return {
        "_id": made_id, "id": one.name, "author": "novix-sandbox", "private": False, "gated": False, "disabled": False,
        "downloads": 0, "likes": 0, "createdAt": created, "lastModified": created,
        "description": f"{len(one.rows)} labelled examples for {one.task}, made for tests.",
        "tags": [f"task_categories:{one.task}", "language:en", "license:cc0-1.0"],
        "cardData": {"license": "cc0-1.0", "language": ["en"], "task_categories": [one.task]},
    }  # fmt: skip


def slice_of(one: Labelled, offset: int, length: int, address: Callable[[int], str]) -> Row:
    """`/rows`: features and rows. `address` is where sound `n` is fetched."""
    found = []
    for number, told in list(enumerate(one.rows))[offset : offset + length]:
        shown = dict(told)
        if one.task == "automatic-speech-recognition":
            shown["audio"] = [{"src": address(told["audio"]), "type": "audio/wav"}]
        found.append({"row_idx": number, "row": shown, "truncated_cells": []})
    features = [{"feature_idx": place, "name": name, "type": kind} for place, (name, kind) in enumerate(one.features)]
    return {
        "features": features, "rows": found, "num_rows_total": len(one.rows), "num_rows_per_page": 100,
        "partial": False,
    }  # fmt: skip
