"""Rows that are no inventions: recorded ones, well-known ids with approximate facts, and what the sandbox serves.

The recorded rows stand in `data/hub_recorded.json.gz`, whose `origin` names source and licence.
"""

import gzip
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from sandbox.hf.catalogue import Catalogue, hub_id
from sandbox.hf.hub_pickles import rows as pickled
from sandbox.hf.hub_rows import FIRST_S, stamp
from schemas import codec

Row = dict[str, Any]
APPROXIMATE = "novix-approximate"
"""A tag of ours: the repository exists on the Hub under this id, its counts here are of the right size at most."""


@cache
def recorded() -> tuple[Row, ...]:
    """Every model that the recorded answers tell of. Of some only the mapping was recorded: such a row is short."""
    packed = resources.files("sandbox.hf").joinpath("data", "hub_recorded.json.gz").read_bytes()
    return tuple(codec.decode(gzip.decompress(packed))["models"])


_B, _M = 10**9, 10**6
_FAMOUS: tuple[tuple[str, str, str | None, str | None, int | None, int, int, tuple[str, ...]], ...] = (
    # id, pipeline tag, library, licence, parameters, downloads, likes, languages and further tags
    ("google-bert/bert-base-uncased", "fill-mask", "transformers", "apache-2.0", 110_106_428, 60 * _M, 2_400, ("en",
     "bert")),
    ("google-bert/bert-base-cased", "fill-mask", "transformers", "apache-2.0", 108_810_000, 5 * _M, 300, ("en",
     "bert")),
    ("FacebookAI/roberta-base", "fill-mask", "transformers", "mit", 124_697_433, 12 * _M, 520, ("en", "roberta")),
    ("FacebookAI/roberta-large", "fill-mask", "transformers", "mit", 355_412_057, 14 * _M, 240, ("en", "roberta")),
    ("FacebookAI/xlm-roberta-base", "fill-mask", "transformers", "mit", 278_885_778, 14 * _M, 720,
     ("multilingual", "xlm-roberta")),
    ("distilbert/distilbert-base-uncased", "fill-mask", "transformers", "apache-2.0", 66_985_530, 10 * _M, 700,
     ("en", "distilbert")),
    ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "text-classification", "transformers", "apache-2.0",
     66_955_010, 4 * _M, 800, ("en", "distilbert")),
    ("albert/albert-base-v2", "fill-mask", "transformers", "apache-2.0", 11_761_504, 3 * _M, 120, ("en", "albert")),
    ("microsoft/deberta-v3-base", "fill-mask", "transformers", "mit", 184_000_000, 2 * _M, 320, ("en", "deberta-v2")),
    ("dslim/bert-base-NER", "token-classification", "transformers", "mit", 108_327_945, 2 * _M, 610, ("en", "bert")),
    ("cardiffnlp/twitter-roberta-base-sentiment-latest", "text-classification", "transformers", "cc-by-4.0",
     124_647_939, 3 * _M, 700, ("en", "roberta")),
    ("ProsusAI/finbert", "text-classification", "transformers", None, 109_484_547, 2 * _M, 950, ("en", "bert",
     "finance")),
    ("facebook/bart-large-cnn", "summarization", "transformers", "mit", 406_290_432, 3 * _M, 1_400, ("en", "bart")),
    ("Helsinki-NLP/opus-mt-en-de", "translation", "transformers", "cc-by-4.0", 74_410_496, 400_000, 45, ("en", "de",
     "marian")),
    ("facebook/nllb-200-distilled-600M", "translation", "transformers", "cc-by-nc-4.0", 615_073_792, 500_000, 750,
     ("multilingual", "m2m_100")),
    ("sentence-transformers/all-MiniLM-L6-v2", "sentence-similarity", "sentence-transformers", "apache-2.0", 22_713_728,
     120 * _M, 4_000, ("en", "bert")),
    ("BAAI/bge-m3", "sentence-similarity", "sentence-transformers", "mit", 567_754_752, 8 * _M, 2_400,
     ("multilingual", "xlm-roberta")),
    ("openai/whisper-large-v3", "automatic-speech-recognition", "transformers", "apache-2.0", 1_543_490_560, 5 * _M,
     5_000,
     ("multilingual", "whisper")),
    ("openai/whisper-tiny", "automatic-speech-recognition", "transformers", "apache-2.0", 37_760_640, 900_000, 380,
     ("multilingual", "whisper")),
    ("openai/clip-vit-base-patch32", "zero-shot-image-classification", "transformers", None, 151_277_313, 15 * _M, 780,
     ("clip",)),
    ("google/vit-base-patch16-224", "image-classification", "transformers", "apache-2.0", 86_567_656, 4 * _M, 900,
     ("vit",)),
    ("facebook/detr-resnet-50", "object-detection", "transformers", "apache-2.0", 41_631_008, 500_000, 900, ("detr",)),
    ("microsoft/layoutlmv3-base", "document-question-answering", "transformers", "cc-by-nc-sa-4.0", 125_984_000,
     900_000, 420,
     ("en", "layoutlmv3")),
    ("black-forest-labs/FLUX.1-schnell", "text-to-image", "diffusers", "apache-2.0", 11_901_408_320, 700_000, 4_500,
     ("en",)),
    ("hexgrad/Kokoro-82M", "text-to-speech", None, "apache-2.0", 82_000_000, 3 * _M, 5_400, ("en",)),
    ("Qwen/Qwen2.5-7B-Instruct", "text-generation", "transformers", "apache-2.0", 7_615_616_512, 6 * _M, 900,
     ("en", "qwen2", "conversational")),
    ("Qwen/Qwen2.5-Coder-32B-Instruct", "text-generation", "transformers", "apache-2.0", 32_763_876_352, 300_000, 1_950,
     ("en", "qwen2", "code", "conversational")),
    ("mistralai/Mistral-7B-Instruct-v0.3", "text-generation", "transformers", "apache-2.0", 7_248_023_552, 1 * _M,
     2_200,
     ("mistral", "conversational")),
    ("google/gemma-2-2b-it", "text-generation", "transformers", "gemma", 2_614_341_888, 500_000, 1_200,
     ("gemma2", "conversational")),
    ("microsoft/Phi-3-mini-4k-instruct", "text-generation", "transformers", "mit", 3_821_079_552, 900_000, 1_300,
     ("en", "phi3", "conversational", "custom_code")),
    ("meta-llama/Llama-3.1-8B-Instruct", "text-generation", "transformers", "llama3.1", 8_030_261_248, 7 * _M, 5_000,
     ("en", "de", "fr", "llama", "conversational")),
    ("bigcode/starcoder2-7b", "text-generation", "transformers", "bigcode-openrail-m", 7_173_923_840, 60_000, 190,
     ("code", "starcoder2")),
    ("emilyalsentzer/Bio_ClinicalBERT", "fill-mask", "transformers", "mit", 108_310_272, 3 * _M, 370, ("en", "bert",
     "medical")),
    ("nlpaueb/legal-bert-base-uncased", "fill-mask", "transformers", "cc-by-sa-4.0", 109_482_240, 700_000, 260,
     ("en", "bert", "legal")),
)  # fmt: skip
_GATED = {"meta-llama/Llama-3.1-8B-Instruct": "manual", "google/gemma-2-2b-it": "manual"}


def famous() -> list[Row]:
    """Well-known models, each with the tag `APPROXIMATE`."""
    return [_famous(*one) for one in _FAMOUS]


def _famous(
    name: str, tag: str, library: str | None, license_: str | None, count: int | None, pulled: int, liked: int,
    more: tuple[str, ...],
) -> Row:  # fmt: skip
    languages = [one for one in more if len(one) == 2 or one == "multilingual"]
    card: Row = {"language": languages} if languages else {}
    if license_:
        card["license"] = license_
    tags = [*([library] if library else []), "safetensors", *more, tag, APPROXIMATE]
    told: Row = {
        "_id": made_id(name), "id": name, "author": name.partition("/")[0], "sha": made_sha(name), "private": False,
        "gated": _GATED.get(name, False), "disabled": False, "downloads": pulled, "likes": liked, "pipeline_tag": tag,
        "createdAt": stamp(FIRST_S), "lastModified": stamp(FIRST_S + 63_072_000),
        "tags": [*dict.fromkeys([*tags, *([f"license:{license_}"] if license_ else [])])], "cardData": card,
    }  # fmt: skip
    if library:
        told["library_name"] = library
    if count:
        kind = "BF16" if tag == "text-generation" else "F32"
        told["safetensors"] = {"parameters": {kind: count}, "total": count}
    return told


def served(models: Catalogue) -> list[Row]:
    """The models of the sandbox's own providers."""
    from sandbox.hf.hub import hub_row

    return [{"_id": hub_id(model), "id": model.id, **hub_row(model)} for model in models]


def known_models(models: Catalogue) -> list[Row]:
    """All of them; where an id is known twice, served before recorded before approximate."""
    found: dict[str, Row] = {}
    for told in (*famous(), *recorded(), *pickled(), *served(models)):
        found[told["id"]] = {**found.get(told["id"], {}), **told}
        if told not in famous() and APPROXIMATE in found[told["id"]].get("tags", ()) and "tags" in told:
            found[told["id"]]["tags"] = told["tags"]
    return list(found.values())


_TOPICS = (
    "reviews",
    "news",
    "dialogue",
    "speech",
    "captions",
    "code",
    "medical-notes",
    "contracts",
    "maths",
    "weather",
)
_CATEGORIES = (
    "text-classification", "summarization", "text-generation", "automatic-speech-recognition", "image-to-text",
    "text-generation", "token-classification", "question-answering", "text-generation", "text-classification",
)  # fmt: skip


def datasets(count: int) -> list[Row]:
    """Generated data sets."""
    rows = []
    for number in range(count):
        topic = _TOPICS[number % len(_TOPICS)]
        name = f"openmeadow/{topic}-{number:x}"
        license_ = ("cc-by-4.0", "mit", "apache-2.0")[number % 3]
        task = _CATEGORIES[number % len(_CATEGORIES)]
        rows.append(
            {
                "_id": made_id(name), "id": name, "author": "openmeadow", "sha": made_sha(name), "private": False,
                "gated": False, "disabled": False, "downloads": 90_000 // (number + 1), "likes": 300 // (number + 1),
                "createdAt": stamp(FIRST_S + number * 9_000), "lastModified": stamp(FIRST_S + number * 18_000),
                "description": f"\n\n\tA collection of {topic} in English, number {number}.\n",
                "tags": [f"task_categories:{task}", "language:en", f"license:{license_}", "region:us"],
                "cardData": {"license": license_, "language": ["en"], "task_categories": [task]},
            }
        )  # fmt: skip
    return rows


def spaces(count: int) -> list[Row]:
    """Generated Spaces, and those that were recorded."""
    named = ["victor/static-space", "aschen/push-model-from-web"]
    named += [f"lumen-research/{_TOPICS[number % len(_TOPICS)]}-demo-{number:x}" for number in range(count)]
    kinds = ("gradio", "docker", "static")
    return [
        {
            "_id": made_id(f"space/{name}"), "id": name, "author": name.partition("/")[0], "sha": made_sha(name),
            "private": False, "disabled": False, "likes": 200 // (number + 1), "sdk": kinds[number % 3],
            "createdAt": stamp(FIRST_S + number * 9_000), "lastModified": stamp(FIRST_S + number * 18_000),
            "tags": [kinds[number % 3], "region:us"], "cardData": {"license": "mit", "sdk": kinds[number % 3]},
            "runtime": {"stage": "RUNNING", "hardware": {"current": None, "requested": None}},
        }
        for number, name in enumerate(named)
    ]  # fmt: skip


def made_id(name: str) -> str:
    """A stand-in for the Hub's `_id` of a repository: the same on every machine."""
    return f"{FIRST_S:08x}{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def made_sha(name: str) -> str:
    """A stand-in for its commit."""
    return hashlib.sha1(name.encode(), usedforsecurity=False).hexdigest()
