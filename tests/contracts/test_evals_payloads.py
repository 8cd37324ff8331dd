"""Labelled sets with payloads: files beside the set, and no others."""

import json

import pytest

from console.hub.sets import of_file
from hub.evals.labelled import BadSet, Columns

CANARY = "the-canary-sings-at-dawn"


def test_a_payload_is_a_file_beside_its_set_and_its_content_is_what_was_asked(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    sets = []
    for folder, content in (("one", b"sound"), ("two", b"sound"), ("one", b"other sound")):
        (tmp_path / folder / "a.wav").write_bytes(content)
        listed = tmp_path / folder / "set.jsonl"
        listed.write_text('{"audio": "a.wav", "transcription": "hello"}')
        sets.append(of_file(str(listed), "automatic-speech-recognition", Columns(), 9))

    assert sets[0].examples[0].input == {"inputs": f"@{tmp_path / 'one' / 'a.wav'}"}
    assert sets[0].digest == sets[1].digest != sets[2].digest


def test_a_payload_that_is_not_there_is_told_by_its_name(tmp_path):
    (tmp_path / "set.jsonl").write_text('{"audio": "missing.wav", "transcription": "hello"}')

    with pytest.raises(BadSet, match=r"'missing\.wav' beside the set: No such file"):
        of_file(str(tmp_path / "set.jsonl"), "automatic-speech-recognition", Columns(), 9)


@pytest.mark.parametrize("name", ["../secret.txt", "{folder}/secret.txt", "link/secret.txt"])
def test_a_set_of_a_stranger_sends_no_file_from_elsewhere(tmp_path, name):
    (tmp_path / "secret.txt").write_text(CANARY)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path)
    row = {"audio": name.format(folder=tmp_path), "transcription": "hello"}
    (tmp_path / "set" / "set.jsonl").write_text(json.dumps(row))

    with pytest.raises(BadSet, match="outside the folder of its set"):
        of_file(str(tmp_path / "set" / "set.jsonl"), "automatic-speech-recognition", Columns(), 9)
