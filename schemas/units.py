"""The units that money counts: what a call's `usage` may name, and under which name a price gives it."""

from dataclasses import dataclass

INPUT_TOKENS = "input_tokens"
OUTPUT_TOKENS = "output_tokens"
CACHED_INPUT_TOKENS = "cached_input_tokens"
REASONING_TOKENS = "reasoning_tokens"
COMPUTE_MS = "compute_ms"
CALLS = "calls"
CHARACTERS = "characters"
IMAGES = "images"
PIXELS = "pixels"
STEPS = "steps"
AUDIO_MS = "audio_ms"
VIDEO_MS = "video_ms"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. Usage counts it in whole numbers."""

    name: str
    """In `usage`."""
    price: str
    """The field of a price."""
    per: int
    """How many of the unit the price is for."""
    meaning: str
    part_of: str = ""
    """The unit that these are counted in as well. A part with a price of its own is charged at it and taken out of the
    whole; without one it is charged with the whole: once in either case."""


UNITS: tuple[Unit, ...] = (
    Unit(INPUT_TOKENS, "input_nanousd_per_million_tokens", 1_000_000, "tokens of the input"),
    Unit(OUTPUT_TOKENS, "output_nanousd_per_million_tokens", 1_000_000, "tokens of the output"),
    Unit(
        CACHED_INPUT_TOKENS,
        "cached_input_nanousd_per_million_tokens",
        1_000_000,
        "tokens of the input that the provider had read before",
        INPUT_TOKENS,
    ),
    Unit(
        REASONING_TOKENS,
        "reasoning_nanousd_per_million_tokens",
        1_000_000,
        "tokens of the output that the model thought with",
        OUTPUT_TOKENS,
    ),
    Unit(COMPUTE_MS, "nanousd_per_compute_ms", 1, "milliseconds of compute time"),
    Unit(CALLS, "nanousd_per_call", 1, "calls, whatever they bring"),
    Unit(CHARACTERS, "nanousd_per_million_characters", 1_000_000, "characters of the input, as speech is charged"),
    Unit(IMAGES, "nanousd_per_image", 1, "images made, or read where an image is what is asked about"),
    Unit(PIXELS, "nanousd_per_megapixel", 1_000_000, "pixels of these images"),
    Unit(STEPS, "nanousd_per_step", 1, "inference steps of an image or a video"),
    Unit(AUDIO_MS, "nanousd_per_audio_second", 1_000, "milliseconds of sound heard or made"),
    Unit(VIDEO_MS, "nanousd_per_video_second", 1_000, "milliseconds of video seen or made"),
)
"""Every unit, in the order in which they are told."""

PARTS: dict[str, tuple[Unit, ...]] = {
    whole.name: tuple(unit for unit in UNITS if unit.part_of == whole.name) for whole in UNITS if not whole.part_of
}
"""The parts of each unit that is none itself."""
