"""One ask a task, as the tasks make them: for tests of dialects alone."""

from typing import Any

from schemas.media import INPUTS, replaced
from schemas.tasks import MODALITIES
from workers.exchange import Ask, Media

IMAGE = Media("image", b"\x89PNG\r\n\x1a\nrest", "image/png", 8, 8)
SOUND = Media("audio", b"fLaCrest", "audio/flac", duration_ms=1_000, sampling_rate=16_000, channels=1)
VIDEO = Media("video", b"\x00\x00\x00\x18ftypmp42", "video/mp4")

_TABLE = {"question": "how many?", "table": {"a": ["1"]}}
_BODIES: dict[str, dict[str, Any]] = {
    "chat-completion": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8},
    "feature-extraction": {"inputs": ["a", "b"], "normalize": True},
    "sentence-similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    "question-answering": {"inputs": {"question": "who?", "context": "me"}, "parameters": {}},
    "table-question-answering": {"inputs": _TABLE, "parameters": {}},
    "text-generation": {"inputs": "Once", "parameters": {"max_new_tokens": 8}},
    "document-question-answering": {"inputs": {"question": "q", "image": IMAGE}, "parameters": {"top_k": 1}},
    "image-text-to-image": {"inputs": IMAGE, "parameters": {"prompt": "blue"}},
    "image-text-to-video": {"inputs": IMAGE, "parameters": {"prompt": "blue"}},
    "image-to-image": {"inputs": IMAGE, "parameters": {"prompt": "blue"}},
    "image-to-video": {"inputs": IMAGE, "parameters": {"prompt": "blue"}},
    "visual-question-answering": {"inputs": {"question": "q", "image": IMAGE}, "parameters": {}},
    "zero-shot-classification": {"inputs": "a", "parameters": {"candidate_labels": ["x", "y"]}},
    "zero-shot-image-classification": {"inputs": IMAGE, "parameters": {"candidate_labels": ["x", "y"]}},
    "zero-shot-object-detection": {"inputs": IMAGE, "parameters": {"candidate_labels": ["x", "y"]}},
}
"""Of tasks that are asked with more than a text or one payload."""
_MEDIA = {"image": IMAGE, "audio": SOUND, "video": VIDEO}


def ask(task: str, **change: Any) -> Ask:
    """The task's ask; `change` are members of its body."""
    plain = replaced(INPUTS.get(task, ()), {"inputs": "a cat", "parameters": {}}, lambda place, _: _MEDIA[place.kind])
    return Ask(task, {**_BODIES.get(task, plain), **change})


ASKS: dict[str, Ask] = {task: ask(task) for task in MODALITIES}
