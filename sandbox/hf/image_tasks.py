"""The tasks that look or draw: how each runs on its engine. Blocking; run on the seat's thread."""

from typing import Any

from PIL import Image

from sandbox.hf import embedding, picture, wire
from sandbox.hf.audio_tasks import top_k
from sandbox.hf.catalogue import Model
from sandbox.hf.engines import Engines
from sandbox.hf.exchange import Product, preferred
from sandbox.hf.rapidocr import Line

SIDES = range(64, 513)
"""Pixels a side of a drawn image."""
USUAL_SIDE = 256


def image_to_text(engines: Engines, _: Model, body: dict[str, Any]) -> Product:
    """`[{generated_text}]`: the lines of text in the image, top to bottom; empty if there is none."""
    lines = engines.rapidocr.read(_seen(body["inputs"], "inputs"))
    return Product([{"generated_text": "\n".join(line.text for line in lines)}])


def image_classification(engines: Engines, _: Model, body: dict[str, Any]) -> Product:
    """`[{label, score}]`, best first. Raises 400 for a `function_to_apply` other than softmax."""
    given = body.get("parameters") or {}
    if given.get("function_to_apply") not in (None, "softmax"):
        raise wire.unsupported("function_to_apply", "parameters")
    wanted = top_k(given)
    return Product(engines.opennsfw.classify(_seen(body["inputs"], "inputs"))[:wanted])


def document_lines(engines: Engines, _: Model, body: dict[str, Any]) -> list[Line]:
    """First step of a question to a document: its lines. Raises 400 for `word_boxes`."""
    if (body.get("parameters") or {}).get("word_boxes") is not None:
        raise wire.unsupported("word_boxes", "parameters")
    top_k(body.get("parameters") or {})
    return engines.rapidocr.read(_seen(body["inputs"]["image"], "inputs.image"))


def nearest_lines(engines: Engines, _: Model, body: dict[str, Any], lines: list[Line]) -> Product:
    """Second step: `[{score, answer, start, end}]`, the lines that lie nearest to the question, best first.

    Scores are a softmax over all lines; `start` and `end` count the words of all lines. Empty if there are no lines.
    """
    if not lines:
        return Product([])
    [question] = engines.e5.embed([body["inputs"]["question"]], "query")
    passages = engines.e5.embed([line.text for line in lines], "passage")
    scores = embedding.softmax(passages @ question / embedding.TEMPERATURE)
    rows, begins = [], 0
    for line, score in zip(lines, scores, strict=True):
        words = len(line.text.split())
        rows.append({"score": float(score), "answer": line.text, "start": begins, "end": begins + words - 1})
        begins += words
    rows.sort(key=lambda row: -float(str(row["score"])))
    return Product(rows[: top_k(body.get("parameters") or {}) or 1])


def text_to_image(engines: Engines, _: Model, body: dict[str, Any]) -> Product:
    """JPEG, as recorded, or PNG if the caller likes that better. Only size and seed are honoured."""
    given = body.get("parameters") or {}
    width, height = given.get("width") or USUAL_SIDE, given.get("height") or USUAL_SIDE
    for name, side in (("width", width), ("height", height)):
        if side not in SIDES:
            raise wire.invalid(f"`parameters.{name}` must be from {SIDES[0]} to {SIDES[-1]}. Given: {side}")
    drawn = engines.terrain.draw(body["inputs"], given.get("seed"), width, height)
    kind = preferred(body.get("accept"), (picture.JPEG, picture.PNG))
    return Product(picture.encoded(drawn, kind), kind)


def _seen(data: bytes, where: str) -> Image.Image:
    try:
        return picture.decoded(data)
    except picture.Unreadable:
        raise wire.unreadable(where, "cannot identify image file") from None
    except picture.TooLarge as error:
        limit = picture.MAX_PIXELS
        raise wire.invalid(f"`{where}` must have at most {limit} pixels. Given: {error.pixels}") from None
