"""What of a sentence was not read as anything: words to search by, and parts that sound like a condition. Pure."""

import re
from importlib import resources

from hub.discovery.phrases import Token

MOST_WORDS = 12
"""Of a topic."""

GENERIC = re.compile(
    r"(?:classif|klassifi|clasific|categor|detect|recogn|identif|extract|find|answer|question|generat|gener|"
    r"creat|mak(?:e|ing)|produc|"
    r"writ|turn|convert|transform|text|image|photo|picture|foto|bild|video|clip|audio|sound|speech|voice|"
    r"document|sentence|read|"
    r"translat|summar|transcri|describ|tell|ask|label|sort|tag|spot|pull|get|look|model|want|need|word|from|"
    r"into|analy|erkenn|"
    r"find|zusammen|ubersetz|traduc|tradui|resum|article|paragraph|about|without|own|any|chat|bot|assist|"
    r"conver|imag|local|locat|"
    r"count|draw|page|message|post|search|vector|compar|predict|fill|complet|edit|remov|split|separat|clean|"
    r"say|said|speak|spoken|"
    r"people|person|thing|object|name|what|where|which|how|embed|similar|record|long|short|the|and|for|out|down)"
)
"""Words that name a kind of work or thing in general: no model is found by them."""

STOP = frozenset(
    word
    for line in resources.files("hub").joinpath("data", "stop.txt").read_text("utf-8").splitlines()
    if not line.startswith("#")
    for word in line.split()
)
"""Words that say nothing of a model."""

_CUE = re.compile(
    r"(?<![a-z])(?:not|no|nothing|none|never|without|except|excluding|exclude[sd]?|avoid|skip|ignore|forget|hates?|"
    r"dislikes?|reject\w*|refuse\w*|forbid\w*|forbidden|banned|nichts|rien|nada|"
    r"must|only|at least|at most|more than|less than|"
    r"fewer than|max|maximum|min|minimum|cannot|n't|has to|have to|needs to|required|require|requires|"
    r"mandatory|exactly|"
    r"nicht|kein\w*|ohne|nur|muss|mindestens|hochstens|sans|seulement|doit|au moins|au plus|sin|solo|debe|al "
    r"menos|como maximo)(?![a-z])|\d"
)
_CLAUSE_END = re.compile(
    r"[,;:!?()\n]|\.(?!\d)|\s[-–—]\s|(?<![a-z])(?:but|and|that|which|with|where|while|because|so|und|aber|"
    r"mais|et|pero|y|dass|the|if)(?![a-z])"
)
_NUMBER_ALONE = re.compile(r"\d")
_VERSIONED = re.compile(r"[a-z]+\d{1,3}[a-z]?")
"""A word of a model's name, as "r1" and "t5"; "44khz" and "512px" are quantities."""
_NAME_AND_VERSION = re.compile(r"\s*(?!p \d)[a-z][\w-]*[ .-]\d{1,2}(?:\.\d+)?(?:[ -][a-z]+)?\s*")
"""Nothing but a name with its version: "starcoder 2"."""


def leftover(
    text: str, words: tuple[Token, ...], used: bytearray, task_words: list[Token]
) -> tuple[list[str], list[tuple[int, int]]]:
    """Words to search by, and where parts stand that sound like a condition nobody understood.

    `task_words` name a task closer than its own name does ("spam", "sentiment"): they are searched by as well.
    """
    topic = [word.word for word in task_words]
    lost = []
    for start, end in _clauses(text):
        mine = [word for word in words if start <= word.start < end and not any(used[word.start : word.end])]
        content = [word for word in mine if word.word not in STOP and not word.word.isdigit() and len(word.word) > 1]
        cue = any(_CUE.fullmatch(text[word.start : word.end]) for word in mine) or any(
            _NUMBER_ALONE.search(word.word) and not _VERSIONED.fullmatch(word.word) for word in mine
        )
        cue = cue or any(
            not any(used[found.start() : found.end()]) for found in _CUE.finditer(text, start, end) if " " in found[0]
        )
        cue = cue and not (_NAME_AND_VERSION.fullmatch(text[start:end]) and not _CUE.match(text[start:end].strip()))
        numbers = [word for word in mine if _is_quantity(word.word)]
        if cue and (content or numbers):
            lost.append((min(word.start for word in mine), max(word.end for word in mine)))
        else:
            topic += [word.word for word in content if not GENERIC.match(word.word)]
    return list(dict.fromkeys(topic))[:MOST_WORDS], lost


def _is_quantity(word: str) -> bool:
    return word.isdigit() and len(word) > 1


def _clauses(text: str) -> list[tuple[int, int]]:
    ends = [(found.start(), found.end()) for found in _CLAUSE_END.finditer(text)]
    starts = [0, *(end for _, end in ends)]
    return list(zip(starts, [*(start for start, _ in ends), len(text)], strict=True))
