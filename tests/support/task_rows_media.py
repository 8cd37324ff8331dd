"""Rows of the tasks that see, hear or make something."""

from typing import Any

import sample_files
from task_row import LABELS, NO_LABELS, NOTHING, Row, b64, without

from workers.exchange import Binary, Media

PNG, WAV, MP4 = sample_files.image(), sample_files.sound(), sample_files.video()
IMAGE = Media("image", PNG, "image/png", width=64, height=48)
SOUND = Media("audio", WAV, "audio/wav", duration_ms=500, sampling_rate=16_000, channels=1)
VIDEO = Media("video", MP4, "video/mp4", width=64, height=48, duration_ms=1_000)
SQUARE = {"xmin": 1, "ymin": 2, "xmax": 63, "ymax": 47}
FOUND = {"label": "cat", "score": 0.9, "box": SQUARE}


def boxes(**edges: Any) -> list[dict[str, Any]]:
    """One object whose box has these edges."""
    return [{**FOUND, "box": {**SQUARE, **edges}}]


NO_BOXES = [*NOTHING, [without(FOUND, "box")], [without(FOUND, "score")], [without(FOUND, "label")],
            boxes(xmax=71), boxes(ymin=-5), boxes(xmin="1"), boxes(xmin=None), boxes(xmin=60, xmax=3),
            boxes(ymax=float("nan")), boxes(ymax=10**30), [{**FOUND, "score": 1.5}],
            [{**FOUND, "box": [1, 2, 3, 4]}]]  # fmt: skip
NO_IMAGE = [*NOTHING, [], Binary(b'{"error": "no"}', "image/png"), Binary(PNG[:20], "image/png"), Binary(WAV),
            {"image": "no base64!"}, {"image": None}, {"image": b64(WAV)}, [b64(PNG), b64(PNG)]]  # fmt: skip
NO_VIDEO = [
    *NOTHING,
    [],
    Binary(b"<html>", "video/mp4"),
    Binary(PNG, "video/mp4"),
    Binary(MP4[:20]),
    {"video": b64(PNG)},
]
NO_SOUND = [
    *NOTHING,
    [],
    Binary(b"<html>", "audio/flac"),
    Binary(PNG, "audio/wav"),
    Binary(WAV[:20]),
    {"audio": b64(PNG)},
]


def drawn(**extra: Any) -> dict[str, Any]:
    """The image that `PNG` is, as an output."""
    return {**extra, "image": IMAGE}


def in_labels(job_input: dict[str, Any], units: dict[str, int], recorded: list[str]) -> Row:
    """A task whose model has labels of its own."""
    return Row(
        job_input, [LABELS, [LABELS], LABELS[:1]], LABELS,
        [*NO_LABELS, [{"label": "x", "score": 1.5}], [{"label": "x", "score": -0.5}]], recorded, units=units,
    )  # fmt: skip


MEDIA: dict[str, Row] = {
    "image-classification": in_labels({"inputs": IMAGE}, {"images": 1, "pixels": 3_072}, ["inf-0008"]),
    "audio-classification": in_labels({"inputs": SOUND}, {"audio_ms": 500}, ["inf-0007"]),
    "video-classification": in_labels({"inputs": VIDEO, "parameters": {"num_frames": 8}}, {"video_ms": 1_000}, []),
    "zero-shot-image-classification": Row(
        {"inputs": IMAGE, "parameters": {"candidate_labels": ["refund", "faq", "faq"]}},
        [LABELS, [LABELS], [{"label": "refund", "score": 0.9}, {"label": "faq", "score": 0.9}]],
        LABELS,
        [*NO_LABELS, LABELS[:1], [*LABELS, LABELS[0]], [LABELS[0], {"label": "other", "score": 0}]],
        ["inf-0111"],
        {"inputs": IMAGE, "parameters": {"candidate_labels": ["woman", "cat", "tree"]}},
        {"images": 1, "pixels": 3_072},
        ("parameters.candidate_labels.0",),
    ),
    "object-detection": Row(
        {"inputs": IMAGE, "parameters": {"threshold": 0.5}},
        [[FOUND], [], [[FOUND]], FOUND, boxes(xmin=1.4, ymin=2.0), boxes(xmax=70, xmin=-6), [{**FOUND, "label": 17}]],
        None,
        NO_BOXES,
        ["inf-0122", "inf-0033"],
        {"inputs": Media("image", PNG, "image/png", width=640, height=512)},
        {"images": 1, "pixels": 3_072},
    ),
    "zero-shot-object-detection": Row(
        {"inputs": IMAGE, "parameters": {"candidate_labels": ["cat", "dog"]}},
        [[FOUND], [], [FOUND, FOUND]],
        None,
        [*NO_BOXES, [{**FOUND, "label": "cow"}]],
        units={"images": 1, "pixels": 3_072},
        texts=("parameters.candidate_labels.0",),
    ),
    "image-segmentation": Row(
        {"inputs": IMAGE},
        [[{"label": "sky", "mask": b64(PNG), "score": 0.9}], [], [{"label": "sky", "mask": Binary(PNG)}],
         [{"label": "sky", "mask": "\n".join((b64(PNG)[:76], b64(PNG)[76:]))}],
         [{"label": "mask", "mask": "data:image/png;base64," + b64(PNG), "score": None}]],
        [{"label": "sky", "mask": IMAGE, "score": 0.9}],
        [*NOTHING, [{"label": "sky"}], [{"mask": b64(PNG)}], [{"label": "sky", "mask": "?"}],
         [{"label": "sky", "mask": b64(b"no image")}], [{"label": "sky", "mask": b64(sample_files.image(32, 48))}],
         [{"label": "sky", "mask": b64(PNG), "score": 7}], [{"label": "sky", "mask": ""}]],
        ["inf-0025"],
        {"inputs": Media("image", PNG, "image/png", width=640, height=420)},
        {"images": 1, "pixels": 3_072},
    ),
    "depth-estimation": Row(
        {"inputs": IMAGE},
        [Binary(PNG, "image/png"), {"depth": b64(PNG), "predicted_depth": [[0.5, 1], [2, 3]]},
         {"predicted_depth": [[1]]}],
        {"depth": IMAGE},
        [*NOTHING, [], {"depth": None}, {"depth": b64(WAV)}, {"predicted_depth": []}, {"predicted_depth": [[1, None]]},
         {"predicted_depth": [[float("nan")]]}, {"predicted_depth": 5}, {"predicted_depth": [[[[[1]]]]]}],
        units={"images": 1, "pixels": 3_072},
    ),
    "image-to-text": Row(
        {"inputs": IMAGE, "parameters": {"max_new_tokens": 20}},
        [[{"generated_text": "a giraffe"}], {"generated_text": "a giraffe"}, [{"generated_text": ""}]],
        {"generated_text": "a giraffe", "generatedText": "a giraffe"},
        [*NOTHING, [], [{"generated_text": None}], [{"generated_text": "a"}, {"generated_text": "b"}]],
        ["inf-0029"],
        {"inputs": IMAGE},
        {"images": 1, "pixels": 3_072},
    ),
    "text-to-image": Row(
        {"inputs": "an astronaut", "parameters": {"width": 512, "height": 256, "num_inference_steps": 4}},
        [Binary(PNG, "image/jpeg"), {"image": b64(PNG), "seed": 1}, [{"image": b64(PNG)}], b64(PNG)],
        drawn(),
        NO_IMAGE,
        ["inf-0123"],
        units={"images": 1, "pixels": 131_072, "steps": 4},
    ),
    "image-to-image": Row(
        {"inputs": IMAGE, "parameters": {"prompt": "at night", "target_size": {"width": 64, "height": 48}}},
        [Binary(PNG)], drawn(), NO_IMAGE, units={"images": 1, "pixels": 3_072},
    ),
    "image-text-to-image": Row(
        {"inputs": IMAGE, "parameters": {"prompt": "at night", "num_inference_steps": 9}},
        [Binary(PNG)], drawn(), NO_IMAGE, units={"images": 1, "steps": 9},
    ),
    "text-to-video": Row(
        {"inputs": "an astronaut", "parameters": {"num_frames": 48, "negative_prompt": ["blur"]}},
        [Binary(MP4, "application/octet-stream"), {"video": b64(MP4)}], {"video": VIDEO}, NO_VIDEO,
        units={"video_ms": 2_000},
    ),
    "image-to-video": Row(
        {"inputs": IMAGE, "parameters": {"num_inference_steps": 30}},
        [Binary(MP4)], {"video": VIDEO}, NO_VIDEO, units={"steps": 30},
    ),
    "image-text-to-video": Row(
        {"parameters": {"prompt": "an astronaut", "num_frames": 24.0}},
        [Binary(MP4)], {"video": VIDEO}, NO_VIDEO, units={"video_ms": 1_000}, texts=("parameters.prompt",),
    ),
    "automatic-speech-recognition": Row(
        {"inputs": SOUND, "parameters": {"return_timestamps": True}},
        [
            {"text": "hi", "chunks": [{"text": "hi", "timestamp": [0.0, None]}]},
            {"text": "hi"}, {"text": ""}, [{"text": "hi"}],
        ],
        {"text": "hi", "chunks": [{"text": "hi", "timestamp": [0.0, 0.5]}]},
        [*NOTHING, [], {"text": None}, {"text": "a", "chunks": 5}, {"text": "a", "chunks": [{"text": "a"}]},
         {"text": "a", "chunks": [{"text": "a", "timestamp": [0]}]},
         {"text": "a", "chunks": [{"text": "a", "timestamp": [None, 1]}]},
         {"text": "a", "chunks": [{"text": "a", "timestamp": [-1, 1]}]},
         {"text": "a", "chunks": [{"text": "a", "timestamp": [0, 1e9]}]},
         {"text": "a", "chunks": [{"text": "a", "timestamp": [0, float("nan")]}]}],
        ["inf-0260"],
        {"inputs": SOUND},
        {"audio_ms": 500},
    ),
    "text-to-speech": Row(
        {"inputs": "Hello"},
        [Binary(WAV, "audio/flac"), {"audio": b64(WAV), "sampling_rate": 22_050}],
        {"audio": SOUND, "sampling_rate": 16_000},
        NO_SOUND,
        units={"characters": 5},
    ),
    "text-to-audio": Row(
        {"inputs": "a calm piano"},
        [Binary(WAV), {"audio": b64(WAV)}],
        {"audio": SOUND, "sampling_rate": 16_000},
        NO_SOUND,
        units={"characters": 12},
    ),
    "audio-to-audio": Row(
        {"inputs": SOUND},
        [[{"label": "clean", "blob": b64(WAV), "content-type": "audio/flac"}], Binary(WAV), {"blob": b64(WAV)}],
        [{"label": "clean", "blob": SOUND, "content-type": "audio/wav"}],
        [*NOTHING, [], [{"label": "x"}], [{"label": 5, "blob": b64(WAV)}], [{"blob": b64(PNG)}], [{"blob": ""}]],
        units={"audio_ms": 500},
    ),
    "visual-question-answering": Row(
        {"inputs": {"question": "How many?", "image": IMAGE}, "parameters": {"top_k": 5}},
        [[{"score": 0.5, "answer": "2"}], {"score": 0.5, "answer": "2"}, [{"answer": "two"}],
         [{"score": 1, "answer": 2}]],
        [{"score": 0.5, "answer": "2"}],
        [*NOTHING, [], [{"answer": "2"}] * 2, [{"score": 0.5}], [{"score": 3, "answer": "2"}],
         [{"score": 0.1, "answer": "2"}] * 6],
        ["inf-0061"],
        units={"images": 1, "pixels": 3_072},
        texts=("inputs.question",),
    ),
    "document-question-answering": Row(
        {"inputs": {"question": "How much?", "image": IMAGE}},
        [[{"score": 0.5, "answer": "$1", "start": 1, "end": 2}], [{"answer": "$1"}], {"answer": "$1", "score": None},
         [], [[{"score": 0.5, "answer": "$1", "start": 1.0, "end": 2}]]],
        [{"score": 0.5, "answer": "$1", "start": 1, "end": 2}],
        [*NOTHING, [{"score": 0.5}], [{"score": 0.5, "answer": "x"}], [{"answer": None}],
         [{"score": 0.5, "answer": "x", "start": 3, "end": 2}], [{"score": 9, "answer": "x", "start": 3, "end": 4}]],
        ["inf-0133"],
        units={"images": 1, "pixels": 3_072},
        texts=("inputs.question",),
    ),
}  # fmt: skip
