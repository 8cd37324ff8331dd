"""Tasks: each a file with a pair of pure maps. A new one: the file, a line in `TASKS`, rows in `test_modalities.py`."""

from typing import Any

from schemas.media import OUTPUTS, replaced
from schemas.tasks import output_fault
from schemas.units import (
    AUDIO_MS,
    CHARACTERS,
    COMPUTE_MS,
    IMAGES,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    PIXELS,
    STEPS,
    VIDEO_MS,
)
from workers.exchange import Answer, Ask, Media, Reply
from workers.modalities import audio, image, text
from workers.modalities.audio import speech_recognition, text_to_audio, text_to_speech, to_audio
from workers.modalities.image import (
    depth_estimation,
    detection,
    segmentation,
    text_to_image,
    text_to_video,
    to_image,
    to_text,
    to_video,
    video_classification,
    zero_shot_detection,
)
from workers.modalities.multimodal import (
    document_question_answering,
    image_text_to_image,
    image_text_to_video,
    visual_question_answering,
)
from workers.modalities.reading import bad
from workers.modalities.task import Assembler, Task, task
from workers.modalities.text import (
    chat,
    embedding,
    fill_mask,
    generation,
    question_answering,
    similarity,
    summarization,
    table_question_answering,
    token_classification,
    translation,
)
from workers.modalities.text.chat_stream import ChatStream
from workers.modalities.text.generation_stream import GenerationStream

__all__ = ["TASKS", "Assembler", "Task", "answered"]

TOKENS = (INPUT_TOKENS, OUTPUT_TOKENS, COMPUTE_MS)
READ = (INPUT_TOKENS, COMPUTE_MS)
SEEN = (COMPUTE_MS, IMAGES, PIXELS)
DRAWN = (IMAGES, PIXELS, STEPS, COMPUTE_MS)
FILMED = (VIDEO_MS, STEPS, COMPUTE_MS)
HEARD = (AUDIO_MS, COMPUTE_MS)
SPOKEN = (CHARACTERS, AUDIO_MS, COMPUTE_MS)

TASKS: dict[str, Task] = dict(
    [
        task("audio-classification", audio.classification, *HEARD),
        task("audio-to-audio", to_audio, *HEARD),
        task("automatic-speech-recognition", speech_recognition, *HEARD),
        task("chat-completion", chat, *TOKENS, assembler=ChatStream, shown=chat.shown),
        task("depth-estimation", depth_estimation, *SEEN),
        task(
            "document-question-answering", document_question_answering, *SEEN, shown=document_question_answering.shown
        ),
        task("feature-extraction", embedding, *READ),
        task("fill-mask", fill_mask, *READ),
        task("image-classification", image.classification, *SEEN),
        task("image-segmentation", segmentation, *SEEN),
        task("image-text-to-image", image_text_to_image, *DRAWN),
        task("image-text-to-video", image_text_to_video, *FILMED),
        task("image-to-image", to_image, *DRAWN),
        task("image-to-text", to_text, *SEEN, OUTPUT_TOKENS),
        task("image-to-video", to_video, *FILMED),
        task("object-detection", detection, *SEEN),
        task("question-answering", question_answering, *READ),
        task("sentence-similarity", similarity, *READ),
        task("summarization", summarization, *TOKENS),
        task("table-question-answering", table_question_answering, *READ),
        task("text-classification", text.classification, *READ),
        task("text-generation", generation, *TOKENS, assembler=GenerationStream),
        task("text-to-audio", text_to_audio, *SPOKEN, shown=text_to_audio.shown),
        task("text-to-image", text_to_image, *DRAWN),
        task("text-to-speech", text_to_speech, *SPOKEN),
        task("text-to-video", text_to_video, *FILMED),
        task("token-classification", token_classification, *READ, shown=token_classification.shown),
        task("translation", translation, *TOKENS),
        task("video-classification", video_classification, VIDEO_MS, COMPUTE_MS),
        task("visual-question-answering", visual_question_answering, *SEEN, shown=visual_question_answering.shown),
        task("zero-shot-classification", text.zero_shot_classification, *READ),
        task("zero-shot-image-classification", image.zero_shot_classification, *SEEN),
        task("zero-shot-object-detection", zero_shot_detection, *SEEN),
    ]
)
"""Every task that a worker does, by its Hugging Face name: maps, what it is charged by, how it streams."""


def answered(ask: Ask, reply: Reply) -> Answer:
    """The answer in `reply`, held against the task's published output schema.

    Raises `ProviderError` with `invalid_output`; its message names places and types, never values.
    """
    done = TASKS[ask.task]
    answer = done.answer(ask, reply)
    shown = done.shown(_without_bytes(ask.task, answer.output))
    try:
        fault = output_fault(ask.task, shown)
    except ValueError:  # the validator knows JSON alone
        fault = "bytes stand where the task has none"
    if fault is not None:
        raise bad(f"not the task's published output: {fault}")
    return answer


def _without_bytes(task_name: str, output: Any) -> Any:
    """`output` with a text where a payload stands, which is how the published schemas know it."""
    places = OUTPUTS.get(task_name)
    return replaced(places, output, lambda _, one: "" if isinstance(one, Media) else one) if places else output
