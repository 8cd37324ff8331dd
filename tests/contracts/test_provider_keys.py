"""Keys of your own at providers: read from a file, renewed without a restart, shown to nobody else."""

import json
import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runtime.credentials import CredentialError
from workers.keys import MAX_FILE_BYTES, Keys

SECRET = "sk-canaryKeyThatMustNotShow"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"groq": SECRET, "fal-ai": " id:secret \n"}))
    return path


def value(keys: Keys, provider: str) -> str | None:
    key = keys.of(provider)
    return None if key is None else key.get_secret_value()


def test_each_provider_has_its_own_key_and_others_have_none(file: Path) -> None:
    keys = Keys(file)
    assert (value(keys, "groq"), value(keys, "fal-ai"), value(keys, "together")) == (SECRET, "id:secret", None)
    assert Keys().of("groq") is None


def test_a_changed_file_is_read_anew_and_the_old_key_stays_hidden(file: Path) -> None:
    keys = Keys(file)
    assert value(keys, "groq") == SECRET
    file.write_text(json.dumps({"groq": "sk-new"}))
    assert value(keys, "groq") == "sk-new"
    assert value(keys, "fal-ai") is None
    assert keys.redact(f"a {SECRET} b sk-new c id:secret") == "a [redacted] b [redacted] c [redacted]"


def test_a_file_half_written_keeps_the_last_good_keys_and_says_so(file: Path) -> None:
    keys = Keys(file)
    assert value(keys, "groq") == SECRET
    file.write_text('{"groq": "sk-')
    with capture_logs() as told:
        for _ in range(3):
            assert value(keys, "groq") == SECRET
    assert keys.problem is not None
    assert [(line["event"], line["problem"]) for line in told] == [("credential.unusable", keys.problem)]
    file.write_text(json.dumps({"groq": "sk-new"}))
    assert value(keys, "groq") == "sk-new"
    assert keys.problem is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "no JSON object"),
        ('{"nobody": "k"}', "it may name "),
        ('{"hf-inference": "k"}', "it may name "),
        ('{"groq": ""}', "no text of 1 to"),
        ('{"groq": 7}', "no text of 1 to"),
        ('{"groq": "a b"}', "cannot carry"),
        ('{"groq": "hf_canaryTokenThatMustNotShow"}', "would be shown it"),
        (f'{{"groq": "{SECRET}"', "not JSON"),
        (" " * (MAX_FILE_BYTES + 1), "which is the limit"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_a_part_of_it(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(CredentialError, match=said) as error:
        Keys(path).of("groq")
    assert "canary" not in str(error.value)
    assert "canary" not in repr(error.value.__context__)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="cannot be read"):
        Keys(tmp_path / "none.json").of("groq")


def test_a_key_is_in_no_text_about_the_keys(file: Path) -> None:
    keys = Keys(file)
    key = keys.of("groq")
    assert SECRET not in repr(keys) + repr(key) + str(key)


def test_a_settled_file_is_not_read_again(file: Path) -> None:
    os.utime(file, ns=(1, 1))
    keys = Keys(file)
    assert value(keys, "groq") == SECRET
    before = file.stat()
    with file.open("r+") as opened:
        opened.write(file.read_text().replace("canary", "CANARY"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert value(keys, "groq") == SECRET
