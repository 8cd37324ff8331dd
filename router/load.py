"""What one input brings of each unit that money counts (`schemas.units`), told before any call. Pure, total, integers.

Three counts of the same input, for three purposes:

- `most` bounds money. A unit that is missing in it has no bound before the call: how long a sound is, whose bytes
  nobody has seen yet; how large the picture is that a model makes when no size is asked for.
- `expected` ranks offers and judges the context, where a wrong guess costs nothing.
- `least` refuses a hopeless ceiling: `most` where that is known, else what is expected; but nothing for what the worker
  will measure (`Ask.units`) and hold against the ceiling itself before it calls.

Tokens: a byte-level BPE has no token shorter than one UTF-8 byte (Radford et al. 2019, "Language Models are
Unsupervised Multitask Learners", 2.2), so the bytes of all that can reach the prompt bound its tokens. JSON's own
brackets and names around each message, some thirty bytes, stand for the chat template's tokens around it;
`TEMPLATE_TOKENS` for what a template writes by itself (a default system prompt, dates). Tools and answer schemas are
written again by the template, indented and with instructions: they count `TOOLS_FACTOR` times. Expected are about four
bytes a token, as in English.
"""

from collections.abc import Mapping
from typing import Any

from router import texts
from schemas import codec, media
from schemas.units import (
    AUDIO_MS,
    CALLS,
    CHARACTERS,
    IMAGES,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PIXELS,
    STEPS,
    VIDEO_MS,
)
from schemas.values import frozen

TEMPLATE_TOKENS = 128
MARKS_PER_TEXT = 4
"""Tokens that a model has around each text of a list: its beginning and its end, and room for as many again."""
TOOLS_FACTOR = 3
BYTES_PER_TOKEN = 4
CONTEXT_MARGIN_PERCENT = 25
"""Added to the expected input before it is held against a context."""
EXPECTED_OUTPUT_TOKENS = 256
"""Of a text that may be longer: what ranking counts with."""

MOST_IMAGE_TOKENS = 16_384
"""Of one image in a chat. The largest range that a published family states: "Qwen2-VL: Enhancing Vision-Language
Model's Perception of the World at Any Resolution", 2024. Others cut an image into fewer."""
EXPECTED_IMAGE_TOKENS = 1_024

EXPECTED_PIXELS = 1_048_576
"""1024 x 1024: of a picture of which no size is told. Assumed."""
SIDE_STEP = 64
"""Models make pictures whose sides are multiples of 8 to 64: an asked side may come out rounded up to one."""
EXPECTED_STEPS = 30
"""Of diffusion, where the job names none. Assumed."""
EXPECTED_FPS, FEWEST_FPS = 16, 8
"""Pictures a second of a video: what `num_frames` lasts, and at most lasts. Assumed."""
EXPECTED_VIDEO_MS = 5_000
EXPECTED_AUDIO_MS = 10_000
BYTES_PER_AUDIO_MS = 16
"""128 kbit/s: how long an inline sound is taken to be."""
SPEECH_MS_PER_CHARACTER = 70
"""Some fifteen characters a second, read aloud. Assumed."""
DURATION_MARGIN_PERCENT, DURATION_MARGIN_MS = 5, 1_000
"""Two readers of one header do not agree to the millisecond: a told duration bounds with this on top."""

COMPUTE_MS_PER_CALL = 50
COMPUTE_MS_PER_INPUT_TOKEN = 1
COMPUTE_MS_PER_OUTPUT_TOKEN = 20
COMPUTE_MS_PER_IMAGE_READ = 500
COMPUTE_MS_PER_IMAGE_MADE = 10_000
COMPUTE_MS_PER_VIDEO_MADE = 60_000
SOUND_PER_COMPUTE = 5
"""What a small model on a CPU takes, for offers that charge compute time: assumptions of ours, sound is worked on five
times as fast as it plays. Used for ranking and for refusing a hopeless ceiling, never for billing."""

GENERATIVE = frozenset({"chat-completion", "text-generation"})
"""Tasks whose answer is generated token by token: they have max_tokens, temperature and top_p."""
MAKES_TEXT = frozenset(
    {
        "automatic-speech-recognition", "document-question-answering", "image-to-text", "question-answering",
        "summarization", "table-question-answering", "translation", "visual-question-answering",
    }
)  # fmt: skip
"""Other tasks that answer in words, of a length that nobody bounds."""
READ_ONCE = frozenset(
    {
        "feature-extraction", "fill-mask", "sentence-similarity", "summarization", "text-classification",
        "text-generation", "text-to-audio", "text-to-image", "text-to-speech", "text-to-video", "token-classification",
        "translation",
    }
)  # fmt: skip
"""Tasks in which a model reads each text once and nothing but texts, so that bytes bound the tokens of the input.
Others read it once for each label or each window of a long text, or see images and hear sounds: tokens too."""
MAKES_IMAGES = frozenset({"text-to-image", "image-to-image", "image-text-to-image"})
MAKES_VIDEOS = frozenset({"text-to-video", "image-to-video", "image-text-to-video"})
MAKES_SOUND = frozenset({"text-to-speech", "text-to-audio"})
_PROMPT_FIELDS = ("tools", "tool_choice", "tool_prompt", "response_format")


@frozen
class Load:
    """What one input brings with it, by unit; without compute time and the output that `max_tokens` bounds."""

    expected: Mapping[str, int]
    most: Mapping[str, int]
    """A unit that is missing has no bound."""
    least: Mapping[str, int]
    compute_ms: int = COMPUTE_MS_PER_CALL
    """Expected, without that of generated tokens."""
    images: int = 0
    """Shown in a chat."""

    @property
    def context_tokens(self) -> int:
        """What the input is taken to fill of a context: expected, with a margin."""
        tokens = self.expected[INPUT_TOKENS]
        return tokens + -(-tokens * CONTEXT_MARGIN_PERCENT // 100)


def load_of(task: str, task_input: dict[str, Any]) -> Load:
    """Count one input. Total over any JSON object."""
    if task == "chat-completion":
        return _chat(task_input)
    count = _Count()
    count.exactly(CALLS, 1)
    size, characters, several = _words(task, task_input)
    tokens = -(-size // BYTES_PER_TOKEN)
    if task in READ_ONCE:
        count.up_to(INPUT_TOKENS, tokens, size + MARKS_PER_TEXT * several + TEMPLATE_TOKENS)
    else:
        payloads = len(media.found(media.INPUTS.get(task, ()), task_input))
        count.unbounded(INPUT_TOKENS, tokens + EXPECTED_IMAGE_TOKENS * payloads)
    count.up_to(CHARACTERS, characters, size)
    if task in MAKES_TEXT | MAKES_IMAGES | MAKES_VIDEOS | MAKES_SOUND:
        count.unbounded(OUTPUT_TOKENS, EXPECTED_OUTPUT_TOKENS)
    else:
        count.exactly(OUTPUT_TOKENS, 0)
    compute = COMPUTE_MS_PER_CALL + COMPUTE_MS_PER_INPUT_TOKEN * tokens
    compute += _payloads(task, task_input, characters, count)
    return count.load(compute)


class _Count:
    """Units while they are counted."""

    def __init__(self) -> None:
        self.expected: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._least: dict[str, int] = {}

    def exactly(self, unit: str, count: int) -> None:
        self.up_to(unit, count, count)

    def up_to(self, unit: str, expected: int, most: int) -> None:
        self.expected[unit] = expected
        self._most[unit] = self._least[unit] = most

    def unbounded(self, unit: str, expected: int) -> None:
        self.expected[unit] = self._least[unit] = expected

    def measured(self, unit: str, expected: int) -> None:
        """The worker will know before it calls."""
        self.expected[unit] = expected

    def load(self, compute_ms: int) -> Load:
        return Load(self.expected, self._most, self._least, compute_ms)


def _chat(task_input: dict[str, Any]) -> Load:
    places = media.INPUTS["chat-completion"]
    images = len(media.found(places, task_input)) if texts.has_image(task_input) else 0
    shown = texts.without_payloads("chat-completion", task_input) if images else task_input
    told = len(codec.encode(shown.get("messages")))
    tools = sum(len(codec.encode(task_input[name])) for name in _PROMPT_FIELDS if task_input.get(name))
    texts_only = sum(len(texts.content(one).encode()) + 16 for one in texts.messages(task_input))
    most = told + TOOLS_FACTOR * tools + TEMPLATE_TOKENS + MOST_IMAGE_TOKENS * images
    expected = -(-(texts_only + tools) // BYTES_PER_TOKEN) + EXPECTED_IMAGE_TOKENS * images
    bounds = {CALLS: 1, INPUT_TOKENS: most, OUTPUT_TOKENS: 0, IMAGES: images}
    compute = COMPUTE_MS_PER_CALL + COMPUTE_MS_PER_INPUT_TOKEN * expected
    return Load({**bounds, INPUT_TOKENS: expected}, bounds, bounds, compute, images)


def _words(task: str, task_input: dict[str, Any]) -> tuple[int, int, int]:
    """UTF-8 bytes of every text of an input but its payloads; characters of what is asked itself; how many texts."""
    shown = texts.without_payloads(task, task_input)
    sizes = [len(text.encode()) for text in texts.strings(shown)]
    return sum(sizes), sum(map(len, texts.strings(shown.get("inputs")))), len(sizes)


def _payloads(task: str, task_input: dict[str, Any], characters: int, count: _Count) -> int:
    """Count what a task makes and reads beside text; the compute time that it probably takes, in ms."""
    parameters = texts.parameters(task_input)
    if task in MAKES_IMAGES:
        count.exactly(IMAGES, 1)
        _size(parameters, count)
        _steps(parameters, count)
        return COMPUTE_MS_PER_IMAGE_MADE
    if task in MAKES_VIDEOS:
        _frames(parameters, count)
        _steps(parameters, count)
        return COMPUTE_MS_PER_VIDEO_MADE
    if task in MAKES_SOUND:
        made_ms = SPEECH_MS_PER_CHARACTER * characters if task == "text-to-speech" else EXPECTED_AUDIO_MS
        count.unbounded(AUDIO_MS, made_ms)
        return made_ms // SOUND_PER_COMPUTE
    return _read(task, task_input, count)


def _read(task: str, task_input: dict[str, Any], count: _Count) -> int:
    shown = media.found(media.INPUTS.get(task, ()), task_input)
    if not shown:
        return 0
    place, value = shown[0]
    ref = value[media.REF] if media.is_ref(value) else None
    told: Mapping[str, Any] = ref if isinstance(ref, dict) else {}
    if place.kind == "image":
        count.exactly(IMAGES, 1)
        width, height = whole(told.get("width")), whole(told.get("height"))
        if width and height:
            count.exactly(PIXELS, width * height)
        else:
            count.measured(PIXELS, EXPECTED_PIXELS)
        return COMPUTE_MS_PER_IMAGE_READ
    unit = AUDIO_MS if place.kind == "audio" else VIDEO_MS
    duration_ms = whole(told.get("duration_ms"))
    if duration_ms:
        margin_ms = DURATION_MARGIN_MS + duration_ms * DURATION_MARGIN_PERCENT // 100
        count.up_to(unit, duration_ms, duration_ms + margin_ms)
    else:
        count.measured(unit, _length_ms(value, unit))
    return COMPUTE_MS_PER_IMAGE_READ + count.expected[unit] // SOUND_PER_COMPUTE


def _length_ms(value: Any, unit: str) -> int:
    """How long an inline payload probably plays; of an address nothing is known."""
    if unit == VIDEO_MS:
        return EXPECTED_VIDEO_MS
    if not isinstance(value, str) or value.startswith(("https:", "http:")):
        return EXPECTED_AUDIO_MS
    return max(1_000, len(value) * 3 // 4 // BYTES_PER_AUDIO_MS)


def _size(parameters: Mapping[str, Any], count: _Count) -> None:
    """The pixels of one picture: `width` and `height`, by themselves or in `target_size`."""
    target = parameters.get("target_size")
    asked = target if isinstance(target, dict) else parameters
    width, height = whole(asked.get("width")), whole(asked.get("height"))
    if width and height:
        count.up_to(PIXELS, width * height, _rounded(width) * _rounded(height))
    else:
        count.unbounded(PIXELS, EXPECTED_PIXELS)


def _rounded(side: int) -> int:
    return -(-side // SIDE_STEP) * SIDE_STEP


def _steps(parameters: Mapping[str, Any], count: _Count) -> None:
    steps = whole(parameters.get("num_inference_steps"))
    if steps:
        count.exactly(STEPS, steps)
    else:
        count.unbounded(STEPS, EXPECTED_STEPS)


def _frames(parameters: Mapping[str, Any], count: _Count) -> None:
    frames = whole(parameters.get("num_frames"))
    if frames:
        count.up_to(VIDEO_MS, -(-frames * 1_000 // EXPECTED_FPS), -(-frames * 1_000 // FEWEST_FPS))
    else:
        count.unbounded(VIDEO_MS, EXPECTED_VIDEO_MS)


def whole(value: Any) -> int | None:
    """A JSON number as a count: integral floats are integers to JSON Schema; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 and value == value // 1 else None
