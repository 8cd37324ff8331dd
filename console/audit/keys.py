"""The audit's keys: Ed25519 (RFC 8032), in PEM files. Who signs has the private one, who verifies the public one."""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MAX_FILE_BYTES = 16_384
SIGNATURE_BYTES = 64


class KeyProblem(Exception):
    """A key that cannot be used. The message names the file and why, never a part of a private key."""


class Signer:
    """Signs with the private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_pem = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.id = id_of(key.public_key())

    def sign(self, message: bytes) -> str:
        """The signature, base64."""
        return base64.b64encode(self._key.sign(message)).decode()


class Ring:
    """The public keys that somebody trusts."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {id_of(key): key for key in keys}

    @classmethod
    def of(cls, signer: "Signer") -> "Ring":
        """The one key of a signer."""
        return cls([read_public(signer.public_pem, "the signer's key")])

    @property
    def ids(self) -> list[str]:
        """Which keys these are."""
        return list(self._keys)

    def fault(self, key_id: str, signature: str, message: bytes) -> str | None:
        """Why a signature (base64) proves nothing; None if it holds."""
        key = self._keys.get(key_id)
        if key is None:
            return f"it names the key {key_id[:64]}; yours is {', '.join(self._keys)}"
        try:
            signed = base64.b64decode(signature, validate=True)
            if base64.b64encode(signed).decode() != signature:
                return "its signature is not in canonical base64"
            key.verify(signed, message)
        except (InvalidSignature, binascii.Error, ValueError):
            return "its signature does not hold"
        return None


def id_of(key: Ed25519PublicKey) -> str:
    """A key's id: the first 16 hex digits of the sha256 over its 32 bytes."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def read_public(data: bytes, where: str) -> Ed25519PublicKey:
    """A public key from PEM. Raises `KeyProblem`."""
    try:
        key = serialization.load_pem_public_key(data[:MAX_FILE_BYTES])
    except (ValueError, TypeError):
        raise KeyProblem(f"{where} is no public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{where} is no Ed25519 key")
    return key


def read_signer(path: Path) -> Signer | None:
    """The private key of a file that only its owner may read; None without such a file. Raises `KeyProblem`."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyProblem(f"{path} cannot be read: {type(error).__name__}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeyProblem(
            f"{path} has the mode {stat.S_IMODE(mode):o}; it may be readable for its owner alone: chmod 600"
        )
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError):
        raise KeyProblem(f"{path} is no private key in PEM form without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"{path} is no Ed25519 key")
    return Signer(key)


def signer_of(path: Path) -> Signer:
    """The private key of a file; made, with mode 0600, where there is none. Two processes that make it at once have one
    and the same. Raises `KeyProblem`."""
    found = read_signer(path)
    if found is not None:
        return found
    fresh = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(fresh)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)  # unlike a rename, it never replaces a key that another process has made meanwhile
        except FileExistsError:
            pass
        finally:
            new.unlink()
    except OSError as error:
        raise KeyProblem(f"{path} cannot be written: {type(error).__name__}") from None
    made = read_signer(path)
    if made is None:
        raise KeyProblem(f"{path} was taken away while it was made")
    return made
