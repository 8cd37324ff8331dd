"""What an entry can be found by, as words; and what a query asks, as groups of words. Pure.

Both sides are cut here, so that the full-text table gets nothing but letters and digits: no operator, quotation mark or
NUL of a query reaches it. An id is cut at everything that is no letter or digit, at CamelCase, and between letters and
digits: `DistilBERT-base-7B` is found by `distilbert`, `distil`, `bert`, `base`, `7b` and `7`. Chinese, Japanese, Korean
and Thai are written without spaces: they are cut into pairs of neighbouring characters.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hub.index.synonyms import LANGUAGES, PHRASES, STOP, language_name, task_token
from schemas.catalog import CatalogEntry

MAX_QUERY_WORDS = 32
MAX_WORD_CHARS = 64
NAME_WORDS = 64
TAG_WORDS = 300
TEXT_CHARS = 800
"""Of a description: the beginning of a card says what it is."""
EMBEDDED_CHARS = 360
"""Of the text that an embedding is made of; a mean over more words is a mean of everything."""
EMBEDDED_TAGS = 12

_WORD = re.compile("(?:[^\\W_]|[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e00-\u0e7f])+")
"""Letters, digits, and the vowel signs and marks that belong to a letter before them."""
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_DIGITS = re.compile(r"\d+|\D+")
_UNSPACED = re.compile(
    "[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_SAID_ELSEWHERE = ("license:", "region:", "endpoints_compatible", "autotrain_compatible", "arxiv:")
"""Tags that say nothing about what a model is for, or that have a column of their own."""


def folded(text: str) -> str:
    """A text as it is compared: compatible forms made one, without accents, in lower case, trimmed."""
    if text.isascii():
        return text.lower().strip()
    split = unicodedata.normalize("NFKD", text)
    plain = "".join(char for char in split if not unicodedata.combining(char))
    return unicodedata.normalize("NFKC", plain).casefold().strip()


def words(text: str) -> Iterator[str]:
    """The words of a text, folded. Runs of a script without spaces become pairs of characters."""
    for found in _WORD.finditer(text if text.isascii() else unicodedata.normalize("NFKC", text)):
        word = folded(found[0])[:MAX_WORD_CHARS]
        if word.isascii():
            yield from filter(None, (word,))  # a mark alone is nothing without its letter
            continue
        if _UNSPACED.search(word) is None:
            yield from _WORD.findall(word)  # what has been made compatible may have become two words
            continue
        at = 0
        for run in _UNSPACED.finditer(word):
            yield from filter(None, (word[at : run.start()],))
            yield from pairs(run[0])
            at = run.end()
        yield from filter(None, (word[at:],))


def pairs(run: str) -> list[str]:
    """Neighbouring characters two by two; a single one as it is."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def name_words(name: str) -> list[str]:
    """All words that an id is found by: its parts, the parts of those, and two neighbouring ones written as one."""
    found: dict[str, None] = {}
    before = ""
    for part in _WORD.findall(name[:256]):
        pieces = [piece for half in _CAMEL.split(part) for piece in _DIGITS.findall(half)]
        for word in words(part):
            found[word] = None
            if before and len(before + word) <= MAX_WORD_CHARS:
                found[before + word] = None  # "llama-3" is also asked as "llama3", "t5-xxl" as "t5xxl"
            before = word
        if len(pieces) > 1:
            cut = [word for piece in pieces for word in words(piece)]
            for first, second in zip(["", *cut], cut, strict=False):
                found[second] = None
                if first and len(first + second) <= MAX_WORD_CHARS:
                    found[first + second] = None
    return list(found)[:NAME_WORDS]


@dataclass(frozen=True, slots=True)
class Document:
    """An entry as the full-text table has it, a column each."""

    name: str
    author: str
    task: str
    tags: str
    text: str

    def columns(self) -> tuple[str, str, str, str, str]:
        """In the table's order."""
        return self.name, self.author, self.task, self.tags, self.text


def document(entry: CatalogEntry) -> Document:
    """What an entry is found by."""
    author, _, name = entry.id.rpartition("/")
    tasks = dict.fromkeys([*filter(None, (entry.task, entry.pipeline_tag)), *entry.tasks])
    said = [*told_tags(entry), *filter(None, (entry.library, entry.license, entry.modality)), *entry.domains]
    tags = [word for tag in said for word in words(tag)]
    tags += [token for code in entry.languages for token in (*words(language_name(code)), language_token(code))]
    tags += [word for base in entry.base_models[:8] for word in words(base.rpartition("/")[2])]
    return Document(
        name=" ".join([*name_words(name), *filter(None, dict.fromkeys(map(exact_token, (name, entry.id))))]),
        author=" ".join(dict.fromkeys([*name_words(author), *name_words(entry.author or "")])),
        task=" ".join([*(word for task in tasks for word in words(task)), *map(task_token, tasks)]),
        tags=" ".join(list(dict.fromkeys(tags))[:TAG_WORDS]),
        text=" ".join(words((entry.description or "")[:TEXT_CHARS])),
    )


def exact_token(name: str) -> str:
    """The word by which an entry is found that is called just so, whatever stands between the parts of its name."""
    joined = "".join(words(name[:256]))
    return f"name0{joined[:MAX_WORD_CHARS]}" if joined else ""


def told_tags(entry: CatalogEntry) -> list[str]:
    """The tags that tell something which no field tells."""
    own = {entry.task, entry.pipeline_tag, entry.library, *entry.languages}
    return [tag for tag in entry.tags if tag not in own and not tag.lower().startswith(_SAID_ELSEWHERE)]


def embedded(entry: CatalogEntry) -> str:
    """The text that an entry's embedding is made of: id, task, languages, tags, the description's beginning."""
    tags = [tag for tag in told_tags(entry) if ":" not in tag][:EMBEDDED_TAGS]
    names = [language_name(code) for code in entry.languages[:3]]
    task = [(entry.task or entry.pipeline_tag or "").replace("-", " ")]
    name = re.sub(r"[-_./]+", " ", entry.id.rpartition("/")[2])
    said = " ".join(filter(None, [name, *task, *names, *tags, (entry.description or "")[:EMBEDDED_CHARS]]))
    return said[:EMBEDDED_CHARS]


def language_token(code: str) -> str:
    """The word that a language is indexed by: of `pt-BR` that of `pt`."""
    return f"lang0{re.split('[-_]', code.lower())[0]}"


Alternative = tuple[str, ...]
"""Words that hold together."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query: groups that hold together, of each of which one alternative will do."""

    groups: tuple[tuple[Alternative, ...], ...]
    typed: str = ""
    """The last word, where it may be the beginning of one: the query does not end with a space."""
    plain: tuple[str, ...] = ()
    """Its words as they are, without those that say nothing."""

    def strict(self) -> str:
        """All groups, in the full-text table's language; empty where the query has no word."""
        return " AND ".join(self._group(group) for group in self.groups)

    def loose(self) -> str:
        """Any of them."""
        return " OR ".join(self._group(group) for group in self.groups)

    def _group(self, group: tuple[Alternative, ...]) -> str:
        said = [_all(alternative) for alternative in group]
        if self.typed and (self.typed,) in group:
            said.append(f'{{name author}} : "{self.typed}" *')
        return f"({' OR '.join(said)})"


def _all(alternative: Alternative) -> str:
    return f"({' AND '.join(map(_quoted, alternative))})" if len(alternative) > 1 else _quoted(alternative[0])


def _quoted(word: str) -> str:
    return f'"{word}"'  # words are letters and digits: there is no mark to double


def asked(text: str) -> Asked:
    """What a query asks. Any text will do: what is no letter or digit parts words and says nothing else."""
    said = list(words(text.replace("\0", " ")))[:MAX_QUERY_WORDS]
    typed = said[-1] if said and len(said[-1]) > 1 and text[-1:].isalnum() and said[-1].isascii() else ""
    groups: list[tuple[Alternative, ...]] = []
    plain: list[str] = []
    at = 0
    while at < len(said):
        length, others = _phrase(said, at)
        here = tuple(said[at : at + length])
        at += length
        if others is None and here[0] in STOP:
            continue
        plain += here
        code = LANGUAGES.get(here[0]) if length == 1 else None
        extra: Iterable[Alternative] = [(f"lang0{code}",)] if code else others or ()
        groups.append(tuple(dict.fromkeys([here, *extra])))
    if not groups:  # nothing but small words: then they are what is asked
        groups, plain = [((word,),) for word in dict.fromkeys(said)], said
    return Asked(
        tuple(dict.fromkeys(groups)), typed if any((typed,) in group for group in groups) else "", tuple(plain)
    )


def _phrase(said: Sequence[str], at: int) -> tuple[int, tuple[Alternative, ...] | None]:
    """The longest known phrase that begins here: its length in words and what else it is called; else one word."""
    for length in (4, 3, 2, 1):
        known = PHRASES.get(" ".join(said[at : at + length])) if at + length <= len(said) else None
        if known is not None:
            return length, known
    return 1, None
