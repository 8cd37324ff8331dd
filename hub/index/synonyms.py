"""Other names of tasks and languages, and the small words of a query. Written here, of common knowledge."""

import functools
from collections.abc import Mapping

NOT_KNOWN = "unknown"
"""As a word of a licence, library, language or modality: those of which nobody has said it."""
_SMALL = """
a an and are as at be best by can do does find for from get give good great has have help how i in into is it its like
me model models most my need needs of on one or please show some something that the their them there these this to use
used using want we what which who will with would you your
"""
STOP = frozenset(_SMALL.split())
"""Words of a query that say nothing of what is looked for."""

_TASKS: Mapping[str, str] = {
    "automatic-speech-recognition": "asr | speech recognition | speech to text | stt | transcription | transcribe",
    "token-classification": "ner | named entity recognition | entity recognition | entity extraction | pos tagging",
    "text-generation": "llm | language model | chatbot | chat | causal lm | completion",
    "text-classification": "topic classification | intent classification | document classification",
    "fill-mask": "mlm | masked language model | masked language modeling | masked lm",
    "feature-extraction": "embedding | embeddings | sentence embeddings | text embeddings | vectors",
    "sentence-similarity": "semantic search | semantic similarity | sts | similarity | embeddings | embedding",
    "question-answering": "qa | extractive qa | reading comprehension",
    "table-question-answering": "tableqa | table qa | tapas qa",
    "visual-question-answering": "vqa | visual qa",
    "document-question-answering": "docvqa | document qa | doc qa",
    "image-text-to-text": "vlm | vision language model | multimodal llm",
    "summarization": "summarize | summarise | summarisation | summary | summarizer | tldr | abstractive summarization",
    "translation": "translate | machine translation | mt | nmt | translator",
    "text-to-speech": "tts | speech synthesis | voice synthesis | voice cloning",
    "text-to-image": "image generation | txt2img | generate images | text2image | diffusion",
    "image-to-image": "img2img | image editing | super resolution | upscaling | inpainting",
    "image-to-text": "image captioning | captioning | ocr | caption images | img2txt",
    "text-to-video": "video generation | txt2vid",
    "text-to-audio": "music generation | audio generation",
    "object-detection": "detect objects | yolo detection | detector",
    "image-segmentation": "segmentation | semantic segmentation | instance segmentation | background removal",
    "image-classification": "classify images | picture classification | photo classification",
    "depth-estimation": "depth | monocular depth",
    "audio-classification": "sound classification | emotion recognition | keyword spotting",
    "zero-shot-classification": "zero shot | nli | natural language inference | zero shot text classification",
    "zero-shot-image-classification": "clip classification | zero shot images",
    "text-ranking": "reranker | reranking | rerank | cross encoder",
    "voice-activity-detection": "vad",
    "reinforcement-learning": "rl | deep rl",
    "time-series-forecasting": "forecasting | time series",
    "video-classification": "action recognition",
}
"""A task's other names, as people ask for it."""

_LANGUAGES = (
    "af Afrikaans|am Amharic|ar Arabic|az Azerbaijani|be Belarusian|bg Bulgarian|bn Bengali|bs Bosnian|ca Catalan|"
    "cs Czech|cy Welsh|da Danish|de German Deutsch|el Greek|en English|eo Esperanto|es Spanish Español|et Estonian|"
    "eu Basque|fa Persian Farsi|fi Finnish|fr French Français|ga Irish|gl Galician|gu Gujarati|ha Hausa|he Hebrew|"
    "hi Hindi|hr Croatian|hu Hungarian|hy Armenian|id Indonesian|ig Igbo|is Icelandic|it Italian Italiano|ja Japanese|"
    "jv Javanese|ka Georgian|kk Kazakh|km Khmer|kn Kannada|ko Korean|ky Kyrgyz|la Latin|lo Lao|lt Lithuanian|"
    "lv Latvian|mg Malagasy|mk Macedonian|ml Malayalam|mn Mongolian|mr Marathi|ms Malay|mt Maltese|my Burmese|"
    "ne Nepali|nl Dutch|no Norwegian|or Odia|pa Punjabi|pl Polish|ps Pashto|pt Portuguese Português|ro Romanian|"
    "ru Russian|sa Sanskrit|sd Sindhi|si Sinhala|sk Slovak|sl Slovenian|so Somali|sq Albanian|sr Serbian|su Sundanese|"
    "sv Swedish|sw Swahili|ta Tamil|te Telugu|tg Tajik|th Thai|tl Tagalog|tr Turkish|uk Ukrainian|ur Urdu|uz Uzbek|"
    "vi Vietnamese|wo Wolof|xh Xhosa|yi Yiddish|yo Yoruba|zh Chinese|zu Zulu"
)
_NAMES = {said.split()[0]: said.split()[1] for said in _LANGUAGES.split("|")}
LANGUAGES: Mapping[str, str] = {
    name.casefold().translate(str.maketrans("ñçê", "nce")): said.split()[0]
    for said in _LANGUAGES.split("|")
    for name in said.split()[1:]
}
"""A language's name, folded, to its code."""


@functools.cache
def task_token(task: str) -> str:
    """The one word that a task is indexed by, which no text is made of."""
    return "task0" + "".join(char for char in task.casefold() if char.isalnum())[:48]


def language_name(code: str) -> str:
    """The English name of a language; of one that is not listed, nothing."""
    return _NAMES.get(code.lower().split("-")[0], "")


def _phrases() -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for task, others in _TASKS.items():
        for phrase in (task.replace("-", " "), *others.split(" | ")):
            found[phrase] = (*found.get(phrase, ()), (task_token(task),))
    # Half of the Hub's classifiers are about sentiment: the task alone would not narrow anything.
    found["sentiment analysis"] = found["sentiment classification"] = (("sentiment",),)
    found["code generation"] = (("code", task_token("text-generation")),)
    return found


PHRASES: Mapping[str, tuple[tuple[str, ...], ...]] = _phrases()
"""What people call a task, in folded words, and what else is the same."""


def _called() -> dict[str, str]:
    found: dict[str, str] = {}
    for task, others in _TASKS.items():
        for phrase in others.split(" | "):
            found.setdefault(phrase, task)
    return found


CALLED: Mapping[str, str] = _called()
"""A task by what people call it: the first that has the name."""
CATEGORIES: Mapping[str, str] = {
    "nlp": "text", "natural language processing": "text", "vision": "image", "computer vision": "image", "cv": "image",
    "speech": "audio", "images": "image", "texts": "text",
}  # fmt: skip
"""A modality by what people call it."""
