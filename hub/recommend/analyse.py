"""What a sentence asks of a model: task, languages, fields, conditions, and what of it was not understood.

Pure and deterministic: a lexicon (`hub/data/lexicon.txt`), a grammar of quantities, and rules for what is named. No
model reads along. Every word of the sentence ends as evidence of something understood, as a word that is searched for,
or in `not_understood`; none is dropped without being told, but for words that carry no meaning of their own.
"""

import functools
import itertools
import re
from datetime import datetime

from hub.discovery.gloss import glossed
from hub.discovery.lexicon import FROM_TO, lexicon
from hub.discovery.phrases import Finder, Match, Token, compiled, plain, tokens
from hub.recommend import conditions, names
from hub.recommend.leftover import GENERIC, STOP, leftover
from hub.recommend.nearest import nearness
from hub.recommend.reading import LISTS, Reading
from hub.recommend.refusing import others_than
from hub.recommend.spelling import spelled
from schemas.recommendation import Condition, Constraints, TaskAnalysis, TaskDescription
from schemas.tasks import MODALITIES

ENOUGH = 0.5
"""What the words for a task must weigh together, for it to be one that was asked for."""
PAIR_WORDS = 4
"""Between two languages at most, the last of them "into", for them to be a translation's."""
NEAR_WEIGHT = 4.0
"""What a cosine counts beside the weights of patterns; chosen on the development half with half of the patterns taken
away, so that it helps where the lexicon has no word."""
CLEARLY_NEAR = 0.15
"""By how much a task without a pattern must be nearer than the middling one."""
FEWEST_WORDS = 2
"""Of content, for a sentence to be compared with the examples: one word is near to anything."""
PURPOSE = 0.7
"""What words after "for" count beside others."""


def analyse(description: TaskDescription, *, at: datetime) -> TaskAnalysis:
    """What `description` asks for; `at` is now, for "this year"."""
    sentence = description.sentence
    flat, places = spelled(*glossed(*plain(sentence)))
    flat = others_than(flat)
    reading = Reading(sentence, flat, places, bytearray(len(flat)), bytearray(len(flat)))
    conditions.read(reading, at)
    words = tokens(flat)
    _libraries(reading, words)
    _languages(reading, words)
    tasks, task_words = _tasks(reading, words)
    if description.task is not None:
        tasks = [description.task, *(task for task in tasks if task != description.task)]
    domains = _domains(reading, words)
    topic, lost = leftover(reading.flat, words, reading.used, task_words)
    modality = MODALITIES.get(tasks[0]) if tasks else _modality(words)
    return TaskAnalysis(
        task=tasks[0] if tasks else None,
        tasks=tuple(tasks),
        modality=modality,
        languages=tuple(reading.languages),
        domains=tuple(domains),
        topic=" ".join(topic),
        preferences=tuple(dict.fromkeys(reading.preferences)),
        constraints=Constraints(**{k: tuple(v) if k in LISTS else v for k, v in reading.values.items()}),
        understood=tuple(reading.understood),
        not_understood=tuple(dict.fromkeys([*reading.odd, *(reading.words(start, end) for start, end in lost)])),
    )


@functools.cache
def _finder(kind: str) -> Finder:
    told = lexicon()
    section = {"task": told.tasks, "language": told.languages, "domain": told.domains, "library": told.libraries,
               "modality": told.modalities, "noun": told.nouns}[kind]  # fmt: skip
    nouns = dict(told.nouns)
    return Finder(pattern for name, patterns in section.items() for pattern in compiled(name, patterns, nouns))


def _open(reading: Reading, words: tuple[Token, ...]) -> tuple[Token, ...]:
    """The words with those that are taken for something else made unreadable, so that gaps keep their length."""
    return tuple(
        Token("\0", word.start, word.end) if any(reading.blocked[word.start : word.end]) else word for word in words
    )


def _longest(found: list[Match]) -> list[Match]:
    """Those that no longer one covers."""
    return [one for one in found if not any(set(one.solid) < set(other.solid) for other in found)]


def _libraries(reading: Reading, words: tuple[Token, ...]) -> None:
    found = _longest(_finder("library").find(_open(reading, words), slips=False))
    spans = [(words[one.first].start, words[one.last].end, one.name) for one in found]
    for start, end, name, wanted in conditions.polar(reading, spans):
        reading.add("libraries" if wanted else "denied_libraries", (name,), start, end)
        reading.mark(start, end)


_TONGUE_FOLLOWS = re.compile(
    r"\W+(?:text|language|sentence|document|customer|review|speech|audio|news|to\b|and\b|or\b|into\b|tweet|"
    r"email|article|ner\b|model)"
)


_CODES = re.compile(r"(?<![a-z0-9-])(?!mt )([a-z]{2}) ?(?:-|->|–|→|=>|>|<->|↔|/|2|to| ) ?([a-z]{2})(?![a-z0-9])")


def _languages(reading: Reading, words: tuple[Token, ...]) -> None:
    for found in names.MULTILINGUAL.finditer(reading.flat):
        if reading.negated(found.start()) is None and reading.free(found.start(), found.end()):
            reading.languages.append("mul")
            reading.understand("language", "mul", found.start(), found.end())
        reading.mark(found.start(), found.end())
    codes = lexicon().languages
    for found in _CODES.finditer(reading.flat):
        pair = [code for code in (found[1], found[2]) if code in codes]
        capital = reading.words(*found.span()).isupper()
        if len(pair) == 2 and (capital or re.search(r"translat|ubersetz|tradu|\bmt\b", reading.flat)):
            reading.languages += [code for code in pair if code not in reading.languages]
            reading.understand("language", " ".join(pair), *found.span())
            reading.mark(*found.span(), blocked=False)
    _bare_codes(reading, words)
    spans = []
    for one in _longest(_finder("language").find(_open(reading, words))):
        start, end = words[one.first].start, words[one.last].end
        told = reading.words(start, end)
        if (
            told == "polish"
            and not _TONGUE_FOLLOWS.match(reading.flat, end)
            and not re.search(r"\b(?:in|to|into|from|for)\W$", reading.flat[:start])
        ):
            continue
        spans.append((start, end, one.name))
    for start, end, code, wanted in conditions.polar(reading, spans):
        only = re.search(
            r"not (?:just|only)\W+(?:for |in )?$|nicht nur\W+$|pas seulement\W+$|no solo\W+$", reading.flat[:start]
        )
        reading.mark(start, end, blocked=False)
        if wanted or only:
            if code not in reading.languages:
                reading.languages.append(code)
            reading.understand("language", code, start, end)
        elif code in reading.languages:
            reading.odd.append(f"{reading.words(start, end)} (the language is asked for as well)")
        else:
            reading.add("denied_languages", (code,), start, end)
            if not re.search(r"\b(?:for|in|into|to|from|fur|auf|pour|en|para)\W+$", reading.flat[:start]):
                reading.odd.append(
                    f"{reading.words(start, end)} (read as a language; name the makers to rule them out)"
                )


_SHORT = 6
"""Words at most of a query in keywords, where two letters at its edge are a language: "ner, spacy, nl"."""
_ALSO_WORDS = frozenset({
    "am", "as", "be", "el", "et", "ga", "he", "hi", "id", "is", "it", "la", "lo", "me", "ml", "mt", "my", "ne", "no",
    "or", "si", "so", "tl", "to", "us", "vi",
})  # fmt: skip
"""Codes that are words, or slang of the trade: not read as languages when they stand alone."""


def _bare_codes(reading: Reading, words: tuple[Token, ...]) -> None:
    """Two letters that are a language's code, where hardly anything else stands: at an edge or between commas."""
    if not 1 < len(words) <= _SHORT:
        return
    codes = lexicon().languages
    for place, word in enumerate(words):
        if word.word not in codes or word.word in _ALSO_WORDS or not reading.free(word.start, word.end):
            continue
        others = [one.word for one in words if one is not word]
        led = place > 0 and words[place - 1].word in (
            "in",
            "for",
            "from",
            "to",
            "into",
            "auf",
            "en",
            "lang",
            "language",
        )
        edge = place in (0, len(words) - 1) or "," in reading.flat[words[place - 1].end : word.start]
        if led or (edge and word.word not in STOP) or (place == len(words) - 1 and not STOP & set(others)):
            reading.languages.append(word.word)
            reading.understand("language", word.word, word.start, word.end)
            reading.mark(word.start, word.end, blocked=False)


def _tasks(reading: Reading, words: tuple[Token, ...]) -> tuple[list[str], list[Token]]:
    """Tasks by how much the words speak for them, and the words that name the likeliest one without being general."""
    readable = _open(reading, words)
    weights: dict[str, tuple[float, float, int]] = {}
    evidence: dict[str, Match] = {}
    unwanted: dict[str, Match] = {}
    found = _finder("task").find(readable)
    found += _from_to(reading, readable)
    if (pair := _tongue_pair(reading, words)) is not None:
        found.append(pair)
    for one in found:
        if reading.negated(words[one.first].start) is not None:
            unwanted.setdefault(one.name, one)
            start, end = words[one.first].start, words[one.last].end
            reading.mark(start, end, blocked=False)
            continue
        best, others, first = weights.get(one.name, (0.0, 0.0, one.first))
        told = one.weight * (PURPOSE if _is_purpose(words, one.first) else 1.0)
        if told > best:
            best, others = told, others + best
            evidence[one.name] = one
        else:
            others += told
        weights[one.name] = best, others, min(first, one.first)
    spoken = {name: best + 0.1 * min(others, 5.0) for name, (best, others, _) in weights.items()}
    rank = _weighed(spoken, _own_words(reading, words))
    places = {name: place for name, (_, _, place) in weights.items()}
    likely = (name for name in rank if rank[name] >= ENOUGH and (name in spoken or name not in unwanted))
    tasks = sorted(likely, key=lambda name: (-round(rank[name], 6), places.get(name, len(words)), name))
    tasks = [name for name in tasks if rank[name] >= rank[tasks[0]] * 0.6]
    for name in sorted(unwanted.keys() - set(tasks)):
        denied = unwanted[name]
        reading.add("denied_tasks", (name,), words[denied.first].start, words[denied.last].end)
    if not tasks:
        # Nothing but a chat model calls tools or keeps to a form.
        speaks = reading.values.get("tools") or reading.values.get("structured_output")
        return (["chat-completion"], []) if speaks else ([], [])
    match = evidence.get(tasks[0])
    if match is not None:
        reading.understand("task", tasks[0], words[match.first].start, words[match.last].end)
    else:
        reading.understood.append(Condition(name="task", value=f"{tasks[0]} (by the nearest examples)"))
    mine = sorted({place for one in found if one.name == tasks[0] for place in one.solid})
    for one in found:
        if one.name in tasks:
            for place in one.solid:
                reading.mark(words[place].start, words[place].end, blocked=False)
    own = tuple(part[:5] for part in tasks[0].split("-"))
    return tasks, [
        words[place] for place in mine if not GENERIC.match(words[place].word) and not words[place].word.startswith(own)
    ]


def _own_words(reading: Reading, words: tuple[Token, ...]) -> str:
    """The words that no condition and no language is read from."""
    tongues = {place for one in _finder("language").find(words) for place in range(one.first, one.last + 1)}
    kept = [word.word for place, word in enumerate(_open(reading, words)) if word.word != "\0" and place not in tongues]
    general = {words[place].word for one in _finder("modality").find(words, slips=False) for place in one.solid}
    content = [word for word in kept if word not in STOP and word not in general and not _ASIDE.search(word)]
    return " ".join(kept) if len(content) >= FEWEST_WORDS else ""


_ASIDE = re.compile(
    r"\d|^(?:cloud|calls?|context|days?|weeks?|months?|repl(?:y|ies)|tokens?|latency|windows?|gb|mb|api)$"
)
"""Words of conditions: a sentence that has no other names no task."""


def _weighed(told: dict[str, float], said: str) -> dict[str, float]:
    """What patterns say of each task, and how near its examples are: as far as beyond the middling task.

    Nearness alone makes a task only where it is clear; it tells tasks apart that patterns speak for alike.
    """
    near = nearness(said) if said else {}
    if not near:
        return told
    middle = sorted(near.values())[len(near) // 2]
    found = {name: told.get(name, 0.0) + NEAR_WEIGHT * max(0.0, value - middle) for name, value in near.items()}
    return {name: value for name, value in found.items() if name in told or near[name] - middle >= CLEARLY_NEAR}


def _is_purpose(words: tuple[Token, ...], place: int) -> bool:
    """Whether "for a" stands right before: what something is for says less of it than what it is called."""
    return any(word.word in ("for", "fur", "pour", "para") for word in words[max(1, place - 3) : place])


_MADE = re.compile(r"\b(?:made|generated|produced|created|built|drawn|painted|out|erzeugt|gemacht)\b")
_TURNS = re.compile(r"\b(?:turn\w*|convert\w*|transform\w*|from|chang\w*|into|2|wandel\w*|umwandel\w*|aus)\b")


def _from_to(reading: Reading, words: tuple[Token, ...]) -> list[Match]:
    """ "turn X into Y", "from X to Y", "X to Y": the task that makes one kind of thing of another."""
    nouns: dict[int, list[str]] = {}
    for one in _finder("noun").find(words, slips=False):
        nouns.setdefault(one.first, []).append(one.name)
    found = []
    for place, word in enumerate(words):
        if word.word not in ("to", "into", "2", "in", "zu", "en", "a", "as"):
            continue
        left = [number for number in range(max(0, place - 3), place) if number in nouns]
        right = [number for number in range(place + 1, min(len(words), place + 4)) if number in nouns]
        if not left or not right:
            continue
        begins = words[max(0, left[-1] - 4)].start
        turned = _TURNS.search(reading.flat[begins : words[right[0]].end]) is not None
        if word.word not in ("to", "2", "into") and not turned:
            continue
        weight = 2.7 if turned else 1.4
        for source in nouns[left[-1]]:
            for target in nouns[right[0]]:
                if (source, target) in FROM_TO and (source != target or turned):
                    solid = (left[-1], place, right[0])
                    found.append(Match(FROM_TO[source, target], weight, left[-1], right[0], solid))
    return found + _made_of(reading, words, nouns)


def _made_of(reading: Reading, words: tuple[Token, ...], nouns: dict[int, list[str]]) -> list[Match]:
    """ "Y made from X", "Y out of X": the same, told the other way round."""
    found = []
    for place, word in enumerate(words):
        left = [number for number in range(max(0, place - 4), place) if number in nouns]
        right = [number for number in range(place + 1, min(len(words), place + 4)) if number in nouns]
        if word.word not in ("from", "of", "aus", "by") or not left or not right:
            continue
        if not _MADE.search(reading.flat[words[left[0]].start : word.end]):
            continue
        for source, target in itertools.product(nouns[right[0]], nouns[left[0]]):
            if source != target and (source, target) in FROM_TO:
                found.append(Match(FROM_TO[source, target], 2.2, left[0], right[0], (left[0], place, right[0])))
    return found


_INTO = frozenset({"to", "into", "in", "nach", "ins", "vers", "al", "en", "a", "zu", "auf", "2", "from", "aus", "au"})


def _tongue_pair(reading: Reading, words: tuple[Token, ...]) -> Match | None:
    """ "German to English" is a translation."""
    spans = sorted(_longest(_finder("language").find(words)), key=lambda one: one.first)
    for one, other in itertools.pairwise(spans):
        between = [word.word for word in words[one.last + 1 : other.first]]
        if len(between) <= PAIR_WORDS and between and between[-1] in _INTO:
            weight = 2.3 if len(between) == 1 else 1.7
            return Match("translation", weight, one.first, other.last, (one.first, other.first - 1, other.last))
        sign = reading.flat[words[one.last].end : words[other.first].start]
        if re.fullmatch(r"\s*(?:->|→|=>|<->|↔|–>|-)\s*", sign):
            return Match("translation", 2.3, one.first, other.last, (one.first, other.last))
    if len({one.name for one in spans}) > 1:
        return Match("translation", 0.4, spans[0].first, spans[0].last, (spans[0].first,))
    return None


def _domains(reading: Reading, words: tuple[Token, ...]) -> list[str]:
    domains: list[str] = []
    for one in _finder("domain").find(_open(reading, words), slips=False):
        start, end = words[one.first].start, words[one.last].end
        if reading.negated(start) is not None:
            continue
        if one.name not in domains:
            domains.append(one.name)
            reading.understand("domain", one.name, start, end)
    return domains


def _modality(words: tuple[Token, ...]) -> str | None:
    found = sorted(_finder("modality").find(words, slips=False), key=lambda one: (one.name != "multimodal", one.first))
    return found[0].name if found else None
