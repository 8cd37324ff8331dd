"""Row `i` of a generated Hub: a pure function of seed and number, so that any of 500,000 is there at once and none
is kept. `hub_columns` computes what is sorted and filtered by for all rows together, from the same draws.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.hf import hub_words as words

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
FIRST_S = 1_646_263_744
"""2022-03-02: the day on which the Hub gave all older repositories their creation date."""
LAST_S = 1_795_219_200
"""2026-11-21. No generated row is younger; what changes later was touched."""
PROVIDER_TASKS = {
    "text-generation": "conversational",
    "image-text-to-text": "conversational",
    "text-to-image": "text-to-image",
    "feature-extraction": "feature-extraction",
    "automatic-speech-recognition": "automatic-speech-recognition",
    "text-to-video": "text-to-video",
}
"""Which tags may be served by a provider, and the mapping's name of the task."""
SERVED_OF_1024 = 6

(TASK, LIBRARY, FAMILY, SIZE, WHO, LICENSE, LANGUAGE, DOMAIN, GATE, CREATED, CHANGED, PULLED, LIKED, TREND, MAPPED,
 ENDING, SHA, REST) = range(18)  # fmt: skip
"""The draws of a row."""


def mixed(number: int) -> int:
    """SplitMix64's finaliser (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014)."""
    number &= MASK
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & MASK
    return number ^ (number >> 31)


def draw(seed: int, i: int, which: int) -> int:
    """64 bits that belong to one draw of one row."""
    return mixed(mixed(seed * GOLDEN + which) + (i + 1) * GOLDEN)


def spread(weights: Sequence[int]) -> tuple[int, ...]:
    """For each of ten thousand steps the index of the choice that has it."""
    table = [index for index, weight in enumerate(weights) for _ in range(weight)]
    table += [0] * (10_000 - len(table))
    return tuple(table[:10_000])


TASK_OF = spread([task.share for task in words.TASKS])
LICENSE_OF = spread([share for _, share in words.LICENSES])
LANGUAGE_OF = spread([share for _, share in words.LANGUAGES])
DOMAIN_OF = spread([share for _, share in words.DOMAINS])
GATED_OF = spread([share for _, share in words.GATED])


def halving(bits: int, count: int) -> int:
    """One of `count`, each further one half as likely; the last takes the rest."""
    for index in range(count - 1):
        if bits >> index & 1:
            return index
    return count - 1


def unit(bits: int) -> float:
    """Above 0, at most 1."""
    return ((bits >> 11) + 1) * 2.0**-53


def created_s(bits: int) -> int:
    """Seconds since 1970: ever more repositories a month."""
    return FIRST_S + int((LAST_S - FIRST_S) * unit(bits) ** 0.45)


def changed_s(created: int, bits: int) -> int:
    """Most are never touched again; some until today."""
    return created + int((LAST_S - created) * unit(bits) ** 6)


def downloads(bits: int) -> int:
    """A power law: `2 * u ** -1.18` less two; half of all have under five, one in 500,000 ten millions."""
    return int(2.0 * unit(bits) ** -1.18) - 2


def likes(pulled: int, bits: int) -> int:
    """Grows slower than downloads, with much chance in it."""
    return int((pulled + 1) ** 0.45 * 0.3 * unit(bits) ** -0.5)


def trending(modified: int, liked: int, bits: int) -> int:
    """Only what changed in the last 60 days trends."""
    age = LAST_S - modified
    return int(liked * 0.8 * unit(bits)) if age < 60 * 86_400 else 0


def stamp(seconds: int) -> str:
    """An instant as the Hub writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def namespace(bits: int) -> str:
    """Whose repository it is."""
    if bits & 7 == 0:
        return words.NAMESPACES[(bits >> 3) % len(words.NAMESPACES)]
    parts = [words.SYLLABLES[bits >> shift & 15] for shift in (3, 7, 11, 15)]
    return "".join(parts[: 3 + (bits >> 19 & 1)]) + (str(bits >> 20 & 127) if bits >> 27 & 1 else "")


def parameters(tag: str | None, bits: int) -> int:
    """How many it has."""
    sizes = words.SIZES[words.KIND_OF.get(tag, "encoder")]
    middle = min(len(sizes) - 1, 2 + halving(bits, len(sizes)))
    return sizes[middle] if bits >> 40 & 1 else sizes[(bits >> 41) % len(sizes)]


def served(tag: str | None, bits: int) -> bool:
    """Whether some provider serves it."""
    return tag in PROVIDER_TASKS and bits % 1024 < SERVED_OF_1024


def repository(seed: int, i: int) -> str:
    """Its id. The number keeps it apart from its namesakes."""
    task = words.TASKS[TASK_OF[draw(seed, i, TASK) % 10_000]]
    family = task.families[draw(seed, i, FAMILY) % len(task.families)]
    endings = words.ENDINGS if words.KIND_OF.get(task.tag) == "large" else words.PLAIN_ENDINGS
    ending = endings[draw(seed, i, ENDING) % len(endings)]
    domain = words.DOMAINS[DOMAIN_OF[draw(seed, i, DOMAIN) % 10_000]][0]
    size = _short(parameters(task.tag, draw(seed, i, SIZE)))
    who = namespace(draw(seed, i, WHO))
    named = [family, size if task.tag not in words.WITHOUT_WEIGHTS else "", domain or "", ending]
    return f"{who}/{'-'.join(part for part in named if part)}-{i:x}"


def row(seed: int, i: int) -> dict[str, Any]:
    """Everything that the Hub would tell of model `i`."""
    bits = [draw(seed, i, which) for which in range(18)]
    task = words.TASKS[TASK_OF[bits[TASK] % 10_000]]
    library = task.libraries[halving(bits[LIBRARY], len(task.libraries))]
    license_ = words.LICENSES[LICENSE_OF[bits[LICENSE] % 10_000]][0]
    languages = words.LANGUAGES[LANGUAGE_OF[bits[LANGUAGE] % 10_000]][0]
    domain = words.DOMAINS[DOMAIN_OF[bits[DOMAIN] % 10_000]][0]
    family = task.families[bits[FAMILY] % len(task.families)]
    created = created_s(bits[CREATED])
    modified = changed_s(created, bits[CHANGED])
    pulled = downloads(bits[PULLED])
    liked = likes(pulled, bits[LIKED])
    repo = repository(seed, i)
    told: dict[str, Any] = {
        "_id": f"{created:08x}{bits[REST]:016x}",
        "id": repo,
        "author": repo.partition("/")[0],
        "sha": f"{bits[SHA]:016x}{mixed(bits[SHA]):016x}{bits[REST] & 0xFFFFFFFF:08x}",
        "lastModified": stamp(modified),
        "createdAt": stamp(created),
        "private": False,
        "gated": words.GATED[GATED_OF[bits[GATE] % 10_000]][0],
        "disabled": False,
        "downloads": pulled,
        "downloadsAllTime": pulled * (2 + bits[REST] % 20),
        "likes": liked,
        "trendingScore": trending(modified, liked, bits[TREND]),
    }
    if task.tag is not None:
        told["pipeline_tag"] = task.tag
    if library is not None:
        told["library_name"] = library
    card: dict[str, Any] = {}
    if license_:
        card["license"] = license_
    if languages:
        card["language"] = list(languages) if len(languages) > 1 else languages[0]
    if library:
        card["library_name"] = library
    tags = [tag for tag in (library, family, task.tag, domain, *languages) if tag]
    told.update(_weights(task, library, bits, tags))
    if task.tag == "text-generation" and bits[ENDING] % len(words.ENDINGS) in (1, 6, 10, 11):
        tags.append("conversational")
    if bits[REST] >> 8 & 3 == 0 and task.families[0] != family:
        card["base_model"] = f"{words.NAMESPACES[bits[REST] >> 10 & 15]}/{family}"
        tags.append(f"base_model:{card['base_model']}")
    if bits[REST] >> 14 & 63 == 0:
        tags.append("custom_code")
    if task.tag in ("text-classification", "question-answering", "token-classification") and bits[REST] >> 20 & 7 == 0:
        card["model-index"] = told["model-index"] = _stated(repo, task.tag, bits[REST])
    if license_:
        tags.append(f"license:{license_}")
    told["tags"] = [*dict.fromkeys([*tags, "region:us"])]
    told["cardData"] = card
    if served(task.tag, bits[MAPPED]):
        told["inference"] = "warm"
        told["inferenceProviderMapping"] = _mapping(repo, PROVIDER_TASKS[task.tag or ""], bits[MAPPED])
    return told


def _weights(task: words.Task, library: str | None, bits: Sequence[int], tags: list[str]) -> dict[str, Any]:
    """Size, as far as the files tell it."""
    if task.tag in words.WITHOUT_WEIGHTS:
        return {"usedStorage": 150_000 + bits[SIZE] % 40_000_000}
    count = parameters(task.tag, bits[SIZE])
    if library == "gguf":
        tags.append("gguf")
        context = 2_048 << (bits[SIZE] >> 50 & 7)
        return {
            "gguf": {"total": count, "architecture": task.families[0], "context_length": context},
            "usedStorage": count * 5 // 8,
        }
    if bits[SIZE] >> 53 & 3 == 0:  # a quarter has files that nobody reads: its size is not known
        tags.append("pytorch")
        return {"usedStorage": count * 4}
    tags.append("safetensors")
    kind = "BF16" if task.tag in ("text-generation", "image-text-to-text") else "F32"
    return {
        "safetensors": {"parameters": {kind: count}, "total": count},
        "usedStorage": count * (2 if kind == "BF16" else 4),
    }


def _mapping(repo: str, task: str, bits: int) -> list[dict[str, Any]]:
    """Providers in the form of the list call."""
    count = 1 + (bits >> 10 & 3)
    start = bits >> 12
    return [
        {
            "provider": words.PROVIDERS[(start + step * 3) % len(words.PROVIDERS)],
            "providerId": repo.lower(),
            "status": "live" if bits >> (20 + step) & 7 else "staging",
            "task": task,
        }
        for step in range(count)
    ]


def _stated(repo: str, tag: str, bits: int) -> list[dict[str, Any]]:
    metric = {"type": "f1", "name": "F1", "value": 60 + bits % 3_900 / 100, "verified": bits >> 30 & 1 == 1}
    dataset = {"name": "held-out", "type": "held-out", "split": "test"}
    return [{"name": repo, "results": [{"task": {"type": tag, "name": tag}, "dataset": dataset, "metrics": [metric]}]}]


def card(told: dict[str, Any]) -> str:
    """The README of a repository, with its front matter, as authors write them: headings, a list, some HTML."""
    tag = told.get("pipeline_tag")
    data = told.get("cardData") or {}
    front = [f"{name}: {data[name]}" for name in ("license", "language", "library_name", "base_model") if name in data]
    does = words.FACTS.get(tag, "was uploaded without a description of what it does")
    told_languages = data.get("language") or "no stated language"
    languages = ", ".join(told_languages) if isinstance(told_languages, list) else told_languages
    body = [
        "---", *front, "---", f"# {told['id'].rpartition('/')[2]}", "",
        f'<p align="center"><img src="https://example.invalid/{told["_id"]}.png" alt="logo"></p>', "",
        f"This model {does}. It was trained for **{languages}** and published by `{told['author']}`.", "",
        "## Intended use", "", "- research", "- experiments on your own data", "",
        "## Limitations", "", "It repeats what stood in its training data, errors included.", "",
    ]  # fmt: skip
    return "\n".join(body)


def _short(count: int) -> str:
    if count >= 10**9:
        return f"{count / 10**9:.1f}".rstrip("0").rstrip(".") + "B"
    return f"{count // 10**6}M"
