"""Inference providers by name, the tasks that each does, and every dialect that a catalogue may name. Plain data.

The providers and tasks of huggingface_hub 2.4.0 (Apache-2.0) whose schemas are published; about a quarter of all that
were ever listed have left within 18 months, so this is a table and no code. How each is spoken to stands in
`workers.providers`; a test holds the two against each other.
"""

_CHAT = frozenset({"chat-completion"})

PROVIDERS: dict[str, frozenset[str]] = {
    "baseten": _CHAT,
    "cerebras": _CHAT,
    "cohere": _CHAT,
    "deepinfra": _CHAT
    | {"automatic-speech-recognition", "feature-extraction", "text-generation", "text-to-speech"},
    "fal-ai": frozenset(
        {
            "automatic-speech-recognition", "image-segmentation", "image-to-image", "image-to-video", "text-to-image",
            "text-to-speech", "text-to-video",
        }
    ),
    "featherless-ai": _CHAT | {"text-generation"},
    "fireworks-ai": _CHAT,
    "groq": _CHAT,
    "hf-inference": _CHAT
    | {
        "audio-classification", "audio-to-audio", "automatic-speech-recognition", "document-question-answering",
        "feature-extraction", "fill-mask", "image-classification", "image-segmentation", "image-to-image",
        "image-to-text", "object-detection", "question-answering", "sentence-similarity", "summarization",
        "table-question-answering", "text-classification", "text-generation", "text-to-audio", "text-to-image",
        "text-to-speech", "token-classification", "translation", "visual-question-answering",
        "zero-shot-classification", "zero-shot-image-classification",
    },
    "novita": _CHAT | {"text-generation", "text-to-video"},
    "nscale": _CHAT | {"text-to-image"},
    "openai": _CHAT,
    "ovhcloud": _CHAT,
    "publicai": _CHAT,
    "replicate": frozenset(
        {"automatic-speech-recognition", "image-to-image", "text-to-image", "text-to-speech", "text-to-video"}
    ),
    "scaleway": _CHAT | {"feature-extraction"},
    "together": _CHAT
    | {
        "feature-extraction", "image-to-image", "image-to-video", "text-generation", "text-to-image", "text-to-speech",
        "text-to-video",
    },
    "wavespeed": frozenset({"image-to-image", "image-to-video", "text-to-image", "text-to-video"}),
    "zai-org": _CHAT | {"text-to-image"},
}  # fmt: skip
"""Each is a dialect as well."""

ROUTER_DIALECT = "hf-router"
"""The OpenAI-compatible door of Hugging Face's router: chat, any provider, model and provider in one name."""
OWN_DIALECTS = frozenset({"openai-compatible", "tgi", "tei", "endpoint"})
"""Spoken by servers of the operator's own, wherever they are: no provider of Hugging Face's stands behind them."""
LATER = frozenset({"fal-ai", "novita", "replicate", "together", "wavespeed", "zai-org"})
"""Dialects of which an answer may be no response to the call itself: a queue is looked into again and again, or an
address fetched."""
DIALECTS = frozenset({"openai-compatible", "tgi", "tei", "endpoint"})
"""Spoken by servers of the operator's own, wherever they are: no provider of Hugging Face's stands behind them."""
AT_ONCE = OWN_DIALECTS | {ROUTER_DIALECT, "hf-inference"}
"""Those whose answer is always the response to the call itself. Others may have a queue that is looked into again, or
an address to fetch."""
DIALECTS = frozenset({*PROVIDERS, ROUTER_DIALECT, *OWN_DIALECTS})
"""Every name that a candidate's `dialect` may have."""
