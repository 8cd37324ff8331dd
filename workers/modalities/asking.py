"""What the tasks share in making their input ready: limits, refusals, the units that are known before the call.

The published schema has said that types are right. What is refused here it allows, and no provider could do.
"""

import math
import unicodedata
from collections.abc import Mapping
from itertools import islice
from typing import Any

from schemas.failure import FailureKind
from schemas.media import Kind
from schemas.units import AUDIO_MS, CALLS, CHARACTERS, IMAGES, PIXELS, STEPS, VIDEO_MS
from workers.errors import ProviderError
from workers.exchange import Ask, Media
from workers.modalities.reading import given, kind_of

MAX_PROMPT_CHARS = 32_000
"""Of a text that an image or a video is made from. Text encoders read 77 to 512 tokens of it; this is no prompt."""
MAX_SPOKEN_CHARS = 32_000
"""Of a text that is spoken: about half an hour, which is longer than any call."""
MAX_SIDE = 8_192
"""Pixels of one side of an image or video that is asked for."""
MAX_PIXELS = 33_554_432
"""Pixels of an image or of a video's frame that is asked for: 8,192 x 4,096."""
MAX_STEPS = 1_000
"""Denoising steps: diffusion models are trained on schedules of 1,000, there are no more to take."""
MAX_FRAMES = 1_440
"""Frames of a video: a minute at `FRAMES_PER_S`; no model makes more in a call."""
FRAMES_PER_S = 24
"""The rate at which frames that are asked for count as time. What was made is measured when it is there."""
MAX_GUIDANCE = 1_000
"""Of a guidance scale; models use 0 to 20."""
MAX_LABELS = 256
"""Candidate labels: each is a run of the model of its own."""
MAX_BATCH = 2_048
"""Texts of one call, as OpenAI's embeddings have it."""
MAX_TOP_K = 10_000
"""Answers of one call."""
MAX_NEW_TOKENS = 8_192
"""Of a text that a model writes about an image or a sound, as everywhere in Novix."""
MAX_BEAMS = 64
"""Of a beam search: each is a run of the model of its own."""
MAX_TEMPERATURE = 2
"""As OpenAI's API has it."""

SEVERAL_OUTPUTS = ("n", "best_of", "num_images", "num_images_per_prompt", "num_outputs", "num_return_sequences",
                   "num_videos", "num_videos_per_prompt", "batch_size", "max_images")  # fmt: skip
"""Parameters that make a call give, and cost, several outputs. The price ceiling counts one."""
_SEARCHED = 10_000
_NOTHING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
"""Unicode categories of what nobody reads."""


def refused(message: str) -> ProviderError:
    """The input cannot be asked. `message` names places, sizes and limits; never values."""
    return ProviderError(FailureKind.INVALID_INPUT, message, nothing_sent=True)


def unusable(message: str) -> ProviderError:
    """A payload cannot be used."""
    return ProviderError(FailureKind.INVALID_MEDIA, message, nothing_sent=True)


def asked(
    task: str,
    inputs: Any,
    parameters: Mapping[str, Any],
    *,
    units: Mapping[str, int] | None = None,
    adapted: Mapping[str, Any] | None = None,
) -> Ask:
    """`inputs` (None: there are none) and `parameters` (left out if empty) as one ask, which is one call."""
    body = {} if inputs is None else {"inputs": inputs}
    if parameters:
        body["parameters"] = parameters
    return Ask(task, body, adapted=adapted or {}, units={CALLS: 1, **(units or {})})


def parameters_of(job_input: Mapping[str, Any]) -> dict[str, Any]:
    """The input's parameters without nulls, with what every task limits alike held against its limits."""
    return limited(given(job_input.get("parameters")))


def limited(parameters: dict[str, Any]) -> dict[str, Any]:
    """`parameters`, if each that is known is within its range; raises `invalid_input` else."""
    for name, (least, most) in RANGES.items():
        if name in parameters:
            within(parameters[name], least, most, f"parameters.{name}")
    return parameters


RANGES: Mapping[str, tuple[float, float]] = {
    "top_k": (1, MAX_TOP_K),
    "num_inference_steps": (1, MAX_STEPS),
    "steps": (1, MAX_STEPS),
    "guidance_scale": (0, MAX_GUIDANCE),
    "num_frames": (1, MAX_FRAMES),
    "frame_sampling_rate": (1, MAX_FRAMES),
    "width": (1, MAX_SIDE),
    "height": (1, MAX_SIDE),
    "threshold": (0, 1),
    "mask_threshold": (0, 1),
    "overlap_mask_area_threshold": (0, 1),
    "max_new_tokens": (1, MAX_NEW_TOKENS),
    "max_answer_len": (1, MAX_NEW_TOKENS),
    "max_question_len": (1, MAX_NEW_TOKENS),
    "max_seq_len": (1, 1_048_576),
    "doc_stride": (0, 1_048_576),
    "stride": (0, 1_048_576),
}
"""Least and most of each parameter that several tasks have; both are allowed."""


def within(value: Any, least: float, most: float, place: str) -> None:
    """Refuse a `value` that is no finite number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refused(f"{place}: is {kind_of(value)}; a number is needed")
    if not least <= value <= most:
        raise refused(f"{place}: is {value:.6g}; it may be from {least} to {most}")


SAMPLING: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0, MAX_TEMPERATURE),
    ("top_p", 0, 1),
    ("typical_p", 0, 1),
    ("frequency_penalty", -2, 2),
    ("presence_penalty", -2, 2),
)
"""Least and most of what steers sampling, as OpenAI's API and text-generation-inference have it."""


def sampling(parameters: Mapping[str, Any], place: str = "parameters") -> None:
    """Refuse sampling parameters that no model knows: a temperature over `MAX_TEMPERATURE`, a `top_p` above 1."""
    for name, least, most in SAMPLING:
        value = parameters.get(name)
        # In range is the rule, and a NaN is in none: only the exception is looked at closely.
        if value is not None and not (type(value) in (int, float) and least <= value <= most):
            within(value, least, most, f"{place}.{name}")


def generation(parameters: dict[str, Any], name: str = "generation_parameters") -> dict[str, Any]:
    """The same for the object in which tasks that also write a text keep theirs; takes out what `one_output` does."""
    inner = parameters.get(name)
    if inner is None:
        return {}
    if not isinstance(inner, Mapping):
        raise refused(f"parameters.{name}: is {kind_of(inner)}; an object is needed")
    sampling(inner, f"parameters.{name}")
    for limit in ("max_new_tokens", "max_length", "min_new_tokens", "min_length"):
        if inner.get(limit) is not None:
            within(inner[limit], 0 if limit.startswith("min") else 1, MAX_NEW_TOKENS, f"parameters.{name}.{limit}")
    for beams in ("num_beams", "num_beam_groups"):
        if inner.get(beams) is not None:
            within(inner[beams], 1, MAX_BEAMS, f"parameters.{name}.{beams}")
    parameters[name] = left = given(inner)
    return one_output(left)


def one_output(parameters: dict[str, Any]) -> dict[str, Any]:
    """Take out of `parameters` what would make several outputs; what was taken, as `adapted` has it.

    What asks for one is taken out as well: it is what comes anyway, and not every provider knows the word.
    """
    adapted = {}
    for name in SEVERAL_OUTPUTS:
        wish = parameters.pop(name, 1)
        if wish != 1:
            told = wish if isinstance(wish, int | float) else kind_of(wish)
            adapted[name] = {"asked": told, "given": 1, "bound_by": "one output"}
    return adapted


def text(value: Any, place: str, *, most: int | None = None, blank: bool = False) -> str:
    """`value`, if it is a text that says something and can be sent.

    Refused: nothing at all, half of a surrogate pair, more than `most` characters and, unless `blank`, a text of
    control characters and spaces alone.
    """
    if not isinstance(value, str):
        raise refused(f"{place}: is {kind_of(value)}; a text is needed")
    if not value:
        raise refused(f"{place}: is empty; a text is needed")
    if most is not None and len(value) > most:
        raise refused(f"{place}: has {len(value)} characters; the limit is {most}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            where = f"{place}: has half of a surrogate pair at character {error.start}"
        else:
            where = ""
        if where:
            raise refused(where)
    if not blank and all(unicodedata.category(one) in _NOTHING for one in islice(value, _SEARCHED)):
        raise refused(f"{place}: {len(value)} characters, all spaces or control characters; a text is needed")
    return value


def labels(parameters: Mapping[str, Any]) -> list[str]:
    """`candidate_labels`, each once."""
    found = parameters.get("candidate_labels")
    place = "parameters.candidate_labels"
    if not isinstance(found, list) or not found:
        raise refused(f"{place}: is {kind_of(found)}; a list of labels is needed")
    if len(found) > MAX_LABELS:
        raise refused(f"{place}: has {len(found)} labels; the limit is {MAX_LABELS}")
    return list(dict.fromkeys(text(label, f"{place}.{at}", most=1_000) for at, label in enumerate(found)))


def payload(value: Any, kind: Kind, place: str = "inputs") -> Media:
    """`value`, if it is a payload of that kind and not an empty one."""
    if not isinstance(value, Media):
        raise unusable(f"{place}: is {kind_of(value)}; {_A[kind]} is needed")
    if value.kind != kind:
        raise unusable(f"{place}: is {_A[value.kind]} ({value.media_type}); {_A[kind]} is needed")
    if not value.data or value.duration_ms == 0:
        raise unusable(f"{place}: {len(value.data)} bytes that last 0 ms; {_A[kind]} with something in it is needed")
    return value


_A: Mapping[Kind, str] = {"image": "an image", "audio": "a sound", "video": "a video"}


def of_image(image: Media) -> dict[str, int]:
    """The units of an image, looked at or made."""
    size = (image.width or 0) * (image.height or 0)
    return {IMAGES: 1, **({PIXELS: size} if size else {})}


def of_sound(sound: Media) -> dict[str, int]:
    """The units of a sound, heard or made."""
    return {} if sound.duration_ms is None else {AUDIO_MS: sound.duration_ms}


def of_video(video: Media) -> dict[str, int]:
    """The units of a video, seen or made."""
    return {} if video.duration_ms is None else {VIDEO_MS: video.duration_ms}


def of_text(words: str) -> dict[str, int]:
    """The units of a text that is spoken."""
    return {CHARACTERS: len(words)}


def size_asked(parameters: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height that are asked for, at the root or as `target_size`; None if they are not."""
    holder, place = parameters, "parameters"
    if "target_size" in parameters:
        holder, place = parameters["target_size"], "parameters.target_size"
        if not isinstance(holder, Mapping):
            raise refused(f"{place}: is {kind_of(holder)}; an object is needed")
    sides = []
    for name in ("width", "height"):
        if holder.get(name) is not None:
            within(holder[name], 1, MAX_SIDE, f"{place}.{name}")
            sides.append(int(holder[name]))
    if len(sides) < 2:
        return None
    if sides[0] * sides[1] > MAX_PIXELS:
        raise refused(f"{place}: {sides[0]} x {sides[1]} pixels; the limit is {MAX_PIXELS} pixels in all")
    return sides[0], sides[1]


def of_drawing(parameters: Mapping[str, Any]) -> dict[str, int]:
    """What is known of an image that is to be made."""
    size = size_asked(parameters)
    return {IMAGES: 1, **({PIXELS: size[0] * size[1]} if size else {}), **_steps(parameters)}


def of_filming(parameters: Mapping[str, Any]) -> dict[str, int]:
    """What is known of a video that is to be made: its time, if frames are asked for."""
    size_asked(parameters)
    frames = parameters.get("num_frames")
    time = {} if frames is None else {VIDEO_MS: math.ceil(frames * 1_000 / FRAMES_PER_S)}
    return {**time, **_steps(parameters)}


def _steps(parameters: Mapping[str, Any]) -> dict[str, int]:
    """Providers call them `steps` as well (together), and let that pass."""
    told = [int(parameters[name]) for name in ("num_inference_steps", "steps") if parameters.get(name) is not None]
    return {STEPS: max(told)} if told else {}


def prompts(parameters: Mapping[str, Any]) -> bool:
    """Hold `prompt` and `negative_prompt` against their limits; whether there is a prompt.

    An empty negative prompt is what some interfaces send for none, and means that.
    """
    negative = parameters.get("negative_prompt")
    for at, words in enumerate(negative if isinstance(negative, list) else [negative]):
        if words:
            text(words, f"parameters.negative_prompt.{at}", most=MAX_PROMPT_CHARS, blank=True)
    if parameters.get("prompt") is None:
        return False
    text(parameters["prompt"], "parameters.prompt", most=MAX_PROMPT_CHARS)
    return True


def members(value: Any, place: str = "inputs") -> dict[str, Any]:
    """The members of an input that is an object, without nulls."""
    if not isinstance(value, Mapping):
        raise refused(f"{place}: is {kind_of(value)}; an object is needed")
    return given(value)


def batch(value: Any, place: str) -> list[str]:
    """Several texts for one call."""
    if not isinstance(value, list) or not value:
        raise refused(f"{place}: is {kind_of(value)}; a list of texts is needed")
    if len(value) > MAX_BATCH:
        raise refused(f"{place}: has {len(value)} texts; the limit is {MAX_BATCH}")
    return [text(one, f"{place}.{at}") for at, one in enumerate(value)]
