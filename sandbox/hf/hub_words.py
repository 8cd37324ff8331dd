"""What generated repositories are made of: tasks with their shares, families, sizes, licences, languages.

The shares follow what the Hub's own filters showed in 2025 and 2026, rounded, so that facets and power laws look as
they do there; no row is a copy of a real repository. Order matters: a row is a pure function of these tables.
"""

from typing import NamedTuple


class Task(NamedTuple):
    """One pipeline tag."""

    tag: str | None
    share: int
    """Of ten thousand."""
    libraries: tuple[str | None, ...]
    """The usual one first; each further one is half as likely as the one before."""
    families: tuple[str, ...]


_LLM = ("llama", "qwen", "mistral", "gemma", "phi", "falcon", "smollm", "olmo", "zephyr", "deepseek")
_BERT = ("bert", "roberta", "distilbert", "deberta", "electra", "xlm-roberta", "modernbert", "albert")
_VISION = ("vit", "resnet", "convnext", "swin", "dinov2", "efficientnet")
_DIFFUSION = ("sdxl", "flux", "sd15", "pixart", "kandinsky")
_SPEECH = ("whisper", "wav2vec2", "hubert", "conformer", "mms")

TASKS = (
    Task("text-generation", 3050, ("transformers", "gguf", "peft", "mlx"), _LLM),
    Task(None, 1900, ("transformers", None, "peft", "diffusers"), _LLM),
    Task("text-to-image", 900, ("diffusers", "peft"), _DIFFUSION),
    Task("text-classification", 780, ("transformers", "setfit"), _BERT),
    Task("reinforcement-learning", 480, ("stable-baselines3", "ml-agents"), ("ppo", "dqn", "sac", "a2c")),
    Task("text2text-generation", 300, ("transformers",), ("t5", "bart", "mt5", "flan-t5")),
    Task("automatic-speech-recognition", 380, ("transformers", "nemo", "espnet"), _SPEECH),
    Task("token-classification", 270, ("transformers", "spacy", "flair"), _BERT),
    Task("image-text-to-text", 330, ("transformers", "gguf"), ("llava", "qwen-vl", "idefics", "smolvlm", "internvl")),
    Task("image-classification", 260, ("transformers", "timm", "keras"), _VISION),
    Task("fill-mask", 210, ("transformers",), _BERT),
    Task("sentence-similarity", 190, ("sentence-transformers",), ("minilm", "mpnet", "bge", "e5", "gte")),
    Task("feature-extraction", 190, ("transformers", "sentence-transformers", "fasttext"), ("bge", "e5", *_BERT)),
    Task("question-answering", 150, ("transformers",), _BERT),
    Task("object-detection", 110, ("transformers", "ultralytics"), ("detr", "yolo", "rt-detr")),
    Task("translation", 90, ("transformers", "espnet"), ("opus-mt", "nllb", "m2m100", "t5")),
    Task("text-to-speech", 70, ("transformers", "espnet", "coqui"), ("vits", "speecht5", "xtts", "kokoro")),
    Task("summarization", 60, ("transformers",), ("bart", "pegasus", "t5", "led")),
    Task("audio-classification", 50, ("transformers", "speechbrain"), _SPEECH),
    Task("text-to-video", 40, ("diffusers",), ("cogvideo", "wan", "ltx")),
    Task("image-to-text", 35, ("transformers",), ("blip", "git", "trocr", "donut")),
    Task("image-segmentation", 30, ("transformers",), ("segformer", "mask2former", "sam")),
    Task("text-to-audio", 20, ("transformers", "audiocraft"), ("musicgen", "audioldm")),
    Task("image-to-image", 20, ("diffusers",), _DIFFUSION),
    Task("zero-shot-classification", 15, ("transformers",), ("bart", "deberta", "roberta")),
    Task("visual-question-answering", 12, ("transformers",), ("vilt", "blip", "pix2struct")),
    Task("document-question-answering", 8, ("transformers",), ("layoutlm", "donut", "lilt")),
    Task("depth-estimation", 8, ("transformers",), ("dpt", "depth-anything", "midas")),
    Task("image-to-video", 8, ("diffusers",), ("svd", "wan", "ltx")),
    Task("video-classification", 6, ("transformers",), ("timesformer", "videomae", "vivit")),
    Task("zero-shot-image-classification", 6, ("transformers", "open_clip"), ("clip", "siglip")),
    Task("table-question-answering", 3, ("transformers",), ("tapas", "tapex")),
    Task("audio-to-audio", 4, ("speechbrain", "espnet"), ("sepformer", "metricgan")),
    Task("zero-shot-object-detection", 2, ("transformers",), ("owlvit", "grounding-dino")),
    Task("any-to-any", 3, ("transformers",), ("omni", "janus")),
    Task("robotics", 7, ("lerobot",), ("act", "pi0", "diffusion-policy")),
    Task("tabular-classification", 2, ("sklearn",), ("gbdt", "tabpfn")),
    Task("time-series-forecasting", 1, ("transformers",), ("chronos", "patchtst")),
)

SIZES: dict[str, tuple[int, ...]] = {
    "large": (494_032_768, 1_235_814_400, 3_212_749_824, 7_241_732_096, 8_030_261_248, 14_765_947_904,
              32_763_876_352, 70_553_706_496, 140_620_634_112, 235_093_634_560),
    "encoder": (22_713_216, 66_955_010, 109_482_240, 124_645_632, 183_831_552, 278_043_648, 334_092_288, 559_890_432),
    "picture": (5_526_346, 25_557_032, 86_567_656, 859_520_964, 2_567_463_684, 11_901_408_320),
    "sound": (37_760_640, 94_395_264, 241_734_912, 315_438_720, 763_857_920, 1_543_490_560),
}  # fmt: skip
"""Parameters of models by the kind of their task; each further size is less likely."""

KIND_OF: dict[str | None, str] = {
    **dict.fromkeys(("text-generation", "image-text-to-text", "any-to-any", None), "large"),
    **dict.fromkeys(
        ("automatic-speech-recognition", "text-to-speech", "audio-classification", "text-to-audio", "audio-to-audio"),
        "sound",
    ),
    **dict.fromkeys(
        ("text-to-image", "image-to-image", "text-to-video", "image-to-video", "image-classification",
         "object-detection", "image-segmentation", "depth-estimation", "video-classification"),
        "picture",
    ),
}  # fmt: skip
"""The key of `SIZES` of each tag; every other is an `encoder`."""

WITHOUT_WEIGHTS = ("reinforcement-learning", "robotics", "tabular-classification")

LICENSES: tuple[tuple[str | None, int], ...] = (
    ("apache-2.0", 3300), (None, 2350), ("mit", 1450), ("other", 620), ("cc-by-nc-4.0", 420), ("openrail", 400),
    ("llama3.1", 330), ("creativeml-openrail-m", 300), ("cc-by-4.0", 200), ("gemma", 190), ("cc-by-sa-4.0", 110),
    ("gpl-3.0", 90), ("cc-by-nc-sa-4.0", 90), ("llama2", 60), ("afl-3.0", 30), ("bsd-3-clause", 30),
    ("agpl-3.0", 20), ("unlicense", 10),
)  # fmt: skip
"""As cards write them, with their share of ten thousand. None: the card names none."""

LANGUAGES: tuple[tuple[tuple[str, ...], int], ...] = (
    (("en",), 4200), ((), 3300), (("multilingual", "en", "de", "fr", "es", "zh"), 500), (("zh",), 350),
    (("en", "zh"), 250), (("fr",), 180), (("de",), 170), (("es",), 170), (("ja",), 160), (("ko",), 140),
    (("ru",), 120), (("pt",), 100), (("ar",), 100), (("hi",), 70), (("it",), 60), (("tr",), 50), (("vi",), 40),
    (("pt-BR",), 20), (("sw",), 20),
)  # fmt: skip

DOMAINS: tuple[tuple[str | None, int], ...] = (
    (None, 8200), ("code", 600), ("medical", 350), ("finance", 200), ("legal", 180), ("biology", 130),
    ("chemistry", 110), ("art", 130), ("music", 60), ("climate", 40),
)  # fmt: skip

GATED: tuple[tuple[bool | str, int], ...] = ((False, 9600), ("auto", 280), ("manual", 120))

NAMESPACES = (
    "aurora-lab", "northwind-ai", "tensorfold", "lumen-research", "openmeadow", "pinecrest", "quietmind",
    "redriver-nlp",
    "saltlake", "tidepool", "umbra-labs", "vectorhaus", "willowbark", "xenolith", "yellowbrick", "zenith-speech",
)  # fmt: skip
"""Organisations with many repositories; most rows belong to somebody with few, whose name is made of syllables."""
SYLLABLES = ("ka", "mi", "ro", "ne", "ta", "lu", "shi", "ve", "do", "an", "ri", "so", "be", "ju", "ha", "le")
ENDINGS = ("base", "instruct", "finetuned", "lora", "distilled", "v2", "chat", "large", "mini", "merged", "it", "dpo")
PLAIN_ENDINGS = ("base", "finetuned", "distilled", "v2", "large", "mini", "multilingual", "v1", "small", "tuned")
"""Of models that do not chat."""

PROVIDERS = (
    "together", "fireworks-ai", "novita", "nebius", "hf-inference", "sambanova", "hyperbolic", "cerebras", "groq",
    "fal-ai",
)  # fmt: skip

FACTS: dict[str | None, str] = {
    "text-generation": "writes text that continues a prompt",
    "text-classification": "tells which label a text has, such as its sentiment",
    "token-classification": "finds names of people, places and organisations in a text",
    "question-answering": "finds the answer to a question in a passage",
    "automatic-speech-recognition": "turns recorded speech into text",
    "text-to-image": "paints a picture from a description",
    "text-to-speech": "reads a text aloud",
    "summarization": "shortens an article to its main points",
    "translation": "translates from one language to another",
    "sentence-similarity": "tells how close two sentences are in meaning",
    "feature-extraction": "turns a text into a vector for search",
    "image-classification": "tells what a picture shows",
    "object-detection": "finds things in a picture and where they are",
    "image-text-to-text": "answers questions about a picture in text",
    "fill-mask": "guesses the missing word of a sentence",
}
