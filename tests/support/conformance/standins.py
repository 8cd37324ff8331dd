"""What stands in for what the recorder lost: payloads of the right type, and inputs of each task."""

import base64
import functools
import io
import json
import re
import wave
from typing import Any

import av
from PIL import Image
from task_rows import written

from schemas.media import INPUTS, replaced
from schemas.tasks import input_fault

CUT = re.compile(rb'"((?:data:[a-z/+-]+;base64,)?[A-Za-z0-9+/]{990,1100}={0,2})"')
"""A base64 text that the recorder cut after 1,000 characters."""
CUT_CHARS = 1_000
SIDE = 4_096
"""Of a stand-in picture: boxes that a lost picture's answer names lie inside it."""
FORMS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "gif": "GIF"}
"""Of pictures, by an address's ending."""


@functools.cache
def picture(form: str = "PNG", side: int = 64) -> bytes:
    """A white square."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "white").save(file, form)
    return file.getvalue()


@functools.cache
def sound(seconds: float = 1.0) -> bytes:
    """Silence as WAV, 16 kHz, one channel."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(bytes(int(seconds * 16_000) * 2))
    return file.getvalue()


@functools.cache
def film() -> bytes:
    """Eight black pictures as MP4."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width = stream.height = 64
        for _ in range(8):
            for packet in stream.encode(av.VideoFrame(64, 64, "yuv420p")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return file.getvalue()


def payload(kind: str, name: str = "") -> bytes:
    """A whole payload of a kind; a picture of the form that an address's ending names."""
    if kind == "image":
        return picture(FORMS.get(name.rpartition(".")[2].lower(), "PNG"))
    return sound() if kind == "audio" else film()


def like(first: bytes) -> bytes | None:
    """A whole payload of the type that begins with `first`; None for what is none."""
    forms = {b"\x89PNG": "PNG", b"\xff\xd8": "JPEG", b"GIF8": "GIF"}
    form = "WEBP" if first[8:12] == b"WEBP" else next((forms[one] for one in forms if first.startswith(one)), None)
    if form is not None:
        return picture(form)
    if first[8:12] == b"WAVE" or first.startswith((b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3")):
        return sound()
    return film() if first[4:8] == b"ftyp" or first.startswith(b"\x1aE\xdf\xa3") else None


def mended(body: bytes) -> tuple[bytes, bool]:
    """`body` with a whole payload wherever the recorder cut one; and whether there was any."""

    def whole(found: re.Match[bytes]) -> bytes:
        head, comma, text = found[1].rpartition(b",")
        if CUT_CHARS not in (len(text), len(found[1])):
            return found[0]
        new = like(base64.b64decode(text[:24]))
        return found[0] if new is None else b'"' + head + comma + base64.b64encode(new) + b'"'

    new = CUT.sub(whole, body)
    return new, new != body


def an_input(task: str, answer: Any) -> dict[str, Any]:
    """An input of `task` to which `answer` can be an answer, for requests that the recorder lost."""
    image = _encoded("image")
    words = "a word " * 200
    known: dict[str, Any] = {
        "chat-completion": {"messages": [{"role": "user", "content": words}]},
        "question-answering": {"inputs": {"question": "What?", "context": _context(answer)}},
        "table-question-answering": {"inputs": {"question": "What?", "table": _table(answer)}},
        "sentence-similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"] * _length(answer)}},
        "zero-shot-classification": {
            "inputs": words,
            "parameters": {"candidate_labels": _labels(answer), "multi_label": _are_several(answer)},
        },
        "zero-shot-image-classification": {"inputs": image, "parameters": {"candidate_labels": _labels(answer)}},
        "document-question-answering": {"inputs": {"question": "What?", "image": image}},
        "visual-question-answering": {"inputs": {"question": "What?", "image": image}},
        "fill-mask": {"inputs": "[MASK] world!"},
        "token-classification": {"inputs": _context(answer)},
        "image-to-image": {"inputs": image, "parameters": {"prompt": "x"}},
    }
    if task in known:
        return known[task]
    if task == "zero-shot-object-detection":
        return {"inputs": image, "parameters": {"candidate_labels": _labels(answer)}}
    if task == "image-segmentation":
        return {"inputs": base64.b64encode(_picture_below(answer)).decode()}
    plain = replaced(INPUTS.get(task, ()), {"inputs": words}, lambda place, _: _encoded(place.kind))
    # A task that was added has no recording yet: what its row in the tasks' suite asks.
    return plain if input_fault(task, plain) is None else written(task)


def _encoded(kind: str) -> str:
    return base64.b64encode(picture("PNG", SIDE) if kind == "image" else payload(kind)).decode()


def _picture_below(answer: Any) -> bytes:
    """A picture of the size of the masks in `answer`."""
    masks = [row["mask"] for row in _rows(answer) if isinstance(row.get("mask"), str)]
    if not masks:
        return picture()
    size = Image.open(io.BytesIO(base64.b64decode(masks[0]))).size
    file = io.BytesIO()
    Image.new("RGB", size, "white").save(file, "PNG")
    return file.getvalue()


def _rows(answer: Any) -> list[dict[str, Any]]:
    rows = answer if isinstance(answer, list) else [answer]
    return [row for row in rows if isinstance(row, dict)]


def _length(answer: Any) -> int:
    return len(answer) if isinstance(answer, list) and answer else 1


def _labels(answer: Any) -> list[str]:
    rows = _rows(answer)
    named = [label for row in rows for label in row.get("labels", [row.get("label")]) if isinstance(label, str)]
    return named or ["a", "b"]


def _are_several(answer: Any) -> bool:
    """Whether the scores of labels are no shares of one."""
    scores = [one for row in _rows(answer) for one in row.get("scores", [row.get("score", 0)])]
    return sum(one for one in scores if isinstance(one, int | float)) > 1.01


def _context(answer: Any) -> str:
    """A text that has each word of `answer` where the answer says that it stands."""
    places = [(row.get("answer", row.get("word")), row.get("start")) for row in _rows(answer)]
    found = [(word, start) for word, start in places if isinstance(word, str) and isinstance(start, int) and start >= 0]
    text = [" "] * max([10, *(start + len(word) for word, start in found)])
    for word, start in found:
        text[start : start + len(word)] = word
    return "".join(text) + "."


def _table(answer: Any) -> dict[str, list[str]]:
    """A table that has the cells of `answer` at their coordinates, every other cell filled with a number."""
    cells = {
        tuple(at): cell
        for row in _rows(answer)
        for at, cell in zip(row.get("coordinates", []), row.get("cells", []), strict=False)
    }
    width, height = (max([6, *(at[way] + 1 for at in cells)]) for way in (1, 0))
    return {f"c{x}": [str(cells.get((y, x), 1)) for y in range(height)] for x in range(width)}


def as_json(body: bytes) -> Any:
    """The JSON in `body`, or None."""
    try:
        return json.loads(body)
    except ValueError:
        return None
