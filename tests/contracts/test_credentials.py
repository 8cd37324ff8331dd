"""The token: rotated without a restart, sealed against reading and tampering, and absent from every text."""

import base64
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from runtime.credentials import (
    SEALED_PREFIX,
    CredentialError,
    Credentials,
    new_key,
    parse_key,
    read_key,
    redact,
    seal,
    unseal,
)

TOKEN = "hf_" + "Canary" * 5
NEXT = "hf_" + "Second" * 5
KEY = parse_key(new_key())


def shown(credentials: Credentials) -> str:
    token = credentials.current()
    assert token is not None
    return token.get_secret_value()


def test_a_value_is_the_token_and_no_configuration_is_no_token():
    assert shown(Credentials(value=SecretStr(f" {TOKEN}\n"))) == TOKEN
    assert Credentials().current() is None


def test_a_file_that_changes_is_read_again_without_a_restart(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    credentials = Credentials(file=file)

    assert shown(credentials) == TOKEN
    file.write_text(NEXT + "\n")
    assert shown(credentials) == NEXT


def test_fast_rotations_of_equal_length_are_all_seen(tmp_path: Path):
    """Written faster than the file system's clock ticks, size and inode the same."""
    file = tmp_path / "token"
    file.write_text("hf_0000")
    credentials = Credentials(file=file)
    for number in range(200):
        file.write_text(f"hf_{number:04}")
        assert shown(credentials) == f"hf_{number:04}"


def test_a_rotation_by_rename_with_the_old_time_is_seen(tmp_path: Path):
    file, fresh = tmp_path / "token", tmp_path / "fresh"
    for path, token in ((file, TOKEN), (fresh, NEXT)):
        path.write_text(token)
        os.utime(path, ns=(0, 0))
    credentials = Credentials(file=file)
    assert shown(credentials) == TOKEN

    fresh.rename(file)
    assert shown(credentials) == NEXT


def test_an_old_file_that_did_not_change_is_not_read_again(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    credentials = Credentials(file=file, wall_clock_ns=lambda: 2**62)
    assert shown(credentials) == TOKEN
    stamp = file.stat()

    with file.open("r+") as opened:
        opened.write(NEXT)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    assert shown(credentials) == TOKEN


@pytest.mark.parametrize("broken", [b"", b"\xff\xfe", b"a b", b"x" * 5_000, b"y" * 20_000, None])
def test_a_file_that_breaks_keeps_the_last_good_token_and_says_why(tmp_path: Path, broken: bytes | None):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    credentials = Credentials(file=file)
    shown(credentials)

    file.unlink() if broken is None else file.write_bytes(broken)
    assert shown(credentials) == TOKEN
    assert credentials.problem is not None

    file.write_text(NEXT)
    assert shown(credentials) == NEXT
    assert credentials.problem is None


def test_a_file_that_never_was_good_is_an_error_each_time(tmp_path: Path):
    (tmp_path / "empty").touch()
    os.utime(tmp_path / "empty", ns=(0, 0))

    for name, why in (("absent", "cannot be read"), ("empty", "is empty")):
        credentials = Credentials(file=tmp_path / name)
        for _ in range(2):
            with pytest.raises(CredentialError, match=why):
                credentials.current()


def test_a_sealed_file_opens_with_its_key_and_rotates_too(tmp_path: Path):
    file, key_file = tmp_path / "token.sealed", tmp_path / "key"
    text = new_key()
    key_file.write_text(text + "\n")
    file.write_text(seal(SecretStr(TOKEN), parse_key(text)) + "\n")
    credentials = Credentials(sealed_file=file, seal_key=lambda: read_key(key_file))

    assert shown(credentials) == TOKEN
    file.write_text(seal(SecretStr(NEXT), parse_key(text)))
    assert shown(credentials) == NEXT
    assert TOKEN not in file.read_text()


def test_a_token_sealed_by_the_documented_format_opens():
    """A text made once by AES-256-GCM with key 00 01 .. 1f and nonce 00 .. 0b: the format must not move."""
    text = "novix-sealed-v1:AAECAwQFBgcICQoLL2SJfKqJpn7j521yKiYuDONQLIfLPLCMNQ=="

    assert unseal(text, bytes(range(32))).get_secret_value() == "hf_golden"


def test_a_wrong_key_opens_nothing():
    with pytest.raises(CredentialError, match="wrong key"):
        unseal(seal(SecretStr(TOKEN), KEY), parse_key(new_key()))


@given(position=st.integers(0, 12 + len(TOKEN) + 16 - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(position: int, bit: int):
    packed = bytearray(base64.urlsafe_b64decode(seal(SecretStr(TOKEN), KEY).removeprefix(SEALED_PREFIX)))
    packed[position] ^= 1 << bit
    text = SEALED_PREFIX + base64.urlsafe_b64encode(packed).decode()

    with pytest.raises(CredentialError, match="was changed"):
        unseal(text, KEY)


@pytest.mark.parametrize(
    "text", ["", "novix-sealed-v2:AAAA", SEALED_PREFIX, SEALED_PREFIX + "A" * 36, SEALED_PREFIX + "é!"]
)
def test_what_is_no_sealed_token_is_refused(text: str):
    with pytest.raises(CredentialError):
        unseal(text, KEY)


@pytest.mark.parametrize(
    ("text", "why"), [("AAAA", "3 bytes; it must have 32"), ("not a key", "base64"), ("é", "base64")]
)
def test_a_bad_key_is_refused_by_its_size_not_its_content(text: str, why: str):
    with pytest.raises(CredentialError, match=re.escape(why)) as caught:
        parse_key(text)

    assert text not in str(caught.value)


def test_a_token_given_twice_or_sealed_without_a_key_is_refused(tmp_path: Path):
    with pytest.raises(CredentialError, match="2 times"):
        Credentials(value=SecretStr(TOKEN), file=tmp_path)
    with pytest.raises(CredentialError, match="neither a seal key"):
        Credentials(sealed_file=tmp_path)


def test_the_token_is_in_no_repr_and_in_no_error(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    credentials = Credentials(file=file)
    texts = [repr(credentials), str(credentials), repr(credentials.current()), str(credentials.current())]
    for bad in (TOKEN + "\x00", TOKEN * 500):
        with pytest.raises(CredentialError) as caught:
            Credentials(value=SecretStr(bad))
        texts.append(repr(caught.value))

    assert not [text for text in texts if "Canary" in text]


def test_redaction_takes_the_token_those_before_it_and_whatever_looks_like_one(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("unusual-token-1")
    credentials = Credentials(file=file)
    shown(credentials)
    file.write_text("unusual-token-2")
    shown(credentials)

    text = f"a unusual-token-1 b unusual-token-2 c Bearer {TOKEN}, ?token=hf_oauth_abc.def api_org_abcdefgh"

    assert credentials.redact(text) == (
        "a [redacted] b [redacted] c Bearer [redacted], ?token=[redacted].def [redacted]"
    )


@given(around=st.text(max_size=20), token=st.from_regex(r"hf_[A-Za-z]{34}", fullmatch=True))
def test_no_text_hides_a_token_from_redaction_but_by_growing_into_it(around: str, token: str):
    assert token not in redact(f"{around} {token}{around}")


def test_ordinary_words_stay():
    assert redact("hf_x hf-inference NOVIX_HF_TOKEN") == "hf_x hf-inference NOVIX_HF_TOKEN"
