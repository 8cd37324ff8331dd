"""The Hub's words in ours: tasks, modalities, languages, domains, sizes. Pure; what is not known is None or left
out."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.catalog import OTHER
from schemas.tasks import MODALITIES

TASKS: Mapping[str, str] = {
    "conversational": "chat-completion",
    "text2text-generation": "text-generation",
    "image-text-to-text": "chat-completion",
    "visual-question-answering": "visual-question-answering",
    "text-to-music": "text-to-audio",
    "sentiment-analysis": "text-classification",
    "ner": "token-classification",
    "image-feature-extraction": OTHER,
    "any-to-any": OTHER,
}
"""Tags for what has another name here. A tag that is neither here nor among the published tasks is `other`."""

SEES = ("image-text-to-text", "any-to-any")
"""Tags of models that take pictures with text: the multimodal workers' work."""

DOMAINS: Mapping[str, str] = {
    "medical": "medical", "clinical": "medical", "biomedical": "medical", "healthcare": "medical",
    "medicine": "medical",
    "legal": "legal", "law": "legal",
    "code": "code", "coding": "code", "code-generation": "code",
    "finance": "finance", "financial": "finance", "fintech": "finance",
    "biology": "biology", "protein": "biology", "genomics": "biology",
    "chemistry": "chemistry", "molecules": "chemistry",
    "math": "mathematics", "mathematics": "mathematics",
    "climate": "climate", "music": "music", "art": "art", "education": "education", "agents": "agents",
}  # fmt: skip
"""Tags that name a field of work."""

BITS: Mapping[str, int] = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4, "I4": 4, "U4": 4, "Q4": 4,
}  # fmt: skip
"""Of one number of each type of safetensors."""

_SPOKEN: Mapping[str, str] = {
    "english": "en", "chinese": "zh", "french": "fr", "german": "de", "spanish": "es", "japanese": "ja", "korean": "ko",
    "russian": "ru", "portuguese": "pt", "italian": "it", "arabic": "ar", "hindi": "hi", "multilingual": "mul",
}  # fmt: skip
_LISTED = (
    "af am ar as az be bg bn bo br bs ca ceb co cs cy da de dv el en eo es et eu fa fi fil fo fr fy ga gd gl "
    "gu ha haw he hi hr ht hu hy id ig is it ja jv ka kk km kn ko ku ky la lb ln lo lt lv mg mi mk ml mn mr "
    "ms mt mul my ne nl nn no nso ny oc om or pa pl ps pt qu ro ru rw sa sd si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt ug uk ur uz ve vi wo xh yi yo yue zh zu "
)
_CODES = frozenset(_LISTED.split())
"""Language subtags that a bare tag of a repository may be."""
_AMBIGUOUS = frozenset({"pt", "tf", "or", "is", "no", "so", "to", "as", "am", "it"})
"""Codes that are words, or libraries, as often as languages: believed in a card, not as a tag."""
_BCP47 = re.compile(r"(?P<language>[a-z]{2,3})(-(?P<script>[a-z]{4}))?(-(?P<region>[a-z]{2}|[0-9]{3}))?")


def task_of(tag: str | None) -> str | None:
    """The published task of a pipeline tag: `other` for one that is none, None without a tag."""
    if tag is None:
        return None
    return tag if tag in MODALITIES else TASKS.get(tag, OTHER)


def tasks_of(tag: str | None, tags: Iterable[str], told: Iterable[str] = ()) -> tuple[str, ...]:
    """All published tasks that a model is known to do: its pipeline tag's first, then those that are among its tags,
    and those that providers serve it for."""
    names = [task_of(tag), *(task_of(one) for one in tags if one in MODALITIES or one == "conversational"), *told]
    return tuple(dict.fromkeys(name for name in names if name is not None and name in MODALITIES))


def modality_of(tag: str | None, task: str | None) -> str | None:
    """Which kind of worker does a model's task; None: unknown."""
    if tag in SEES:
        return "multimodal"
    return MODALITIES.get(task) if task is not None else None


def language_of(told: Any) -> str | None:
    """A language as BCP 47 writes it; None: no language. `multilingual` is `mul`.

    YAML reads Norwegian's `no` as false, and cards pass it on.
    """
    if told is False:
        return "no"
    if not isinstance(told, str) or len(told) > 32:
        return None
    plain = told.strip().lower().replace("_", "-")
    plain = _SPOKEN.get(plain, plain)
    found = _BCP47.fullmatch(plain)
    if found is None:
        return None
    parts = [found["language"]]
    if found["script"]:
        parts.append(found["script"].capitalize())
    if found["region"]:
        parts.append(found["region"].upper())
    return "-".join(parts)


def languages_of(card: Any, tags: Iterable[str]) -> tuple[str, ...]:
    """What the card says, else the tags that are codes of languages: bare ones of models, `language:en` of data
    sets."""
    told = card if isinstance(card, list) else [] if card is None else [card]
    found = [language for one in told[:256] if (language := language_of(one)) and one != "code"]
    if not found:
        listed = list(tags)
        found = [tag for tag in listed if tag in _CODES and tag not in _AMBIGUOUS]
        found += [one for tag in listed if tag.startswith("language:") and (one := language_of(tag[9:])) is not None]
        if "multilingual" in listed:
            found.insert(0, "mul")
    return tuple(dict.fromkeys(found))


def domains_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Fields of work that the tags name."""
    return tuple(dict.fromkeys(DOMAINS[tag.lower()] for tag in tags if tag.lower() in DOMAINS))


def weight_bytes(dtypes: Mapping[str, int]) -> int | None:
    """Size of weights by number type; None: nothing is known, or a type that we do not know is among them."""
    if not dtypes or any(name not in BITS for name in dtypes):
        return None
    return sum(count * BITS[name] for name, count in dtypes.items()) // 8
