"""The index's SQLite file: tables, opening, and how an entry is packed into it."""

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from schemas.catalog import CatalogEntry

NAME, VECTORS, LOCK = "catalog.sqlite", "catalog.vectors", "catalog.lock"
FORM = 3
"""Of what the tables hold; raise it when words, columns or embeddings of the same entry become others."""
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE name (row INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE entry (row INTEGER PRIMARY KEY, digest BLOB NOT NULL, words BLOB NOT NULL, body BLOB NOT NULL);
CREATE TABLE word (id INTEGER PRIMARY KEY, field TEXT NOT NULL, text TEXT NOT NULL, shown TEXT NOT NULL,
                   UNIQUE (field, text));
CREATE TABLE block (number INTEGER PRIMARY KEY, record BLOB NOT NULL, bag BLOB NOT NULL, offers BLOB NOT NULL);
CREATE VIRTUAL TABLE fts USING fts5 (name, author, task, tags, description, content='', detail=full,
                                     tokenize="porter unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (fts, 'row');
"""
# Names stand apart from the bodies: hundreds are looked at for each entry that is shown, a hundred to a page.
VERSION = (zlib.crc32(SCHEMA.encode()) ^ FORM) & 0x7FFFFFFF
CACHE_KIB = 16_384
A_QUERY = 400
"""Values that one statement asks for."""
ROW_BITS = 24
"""A row's number in the full-text table has its tier above these bits: the most used ones are its upper end."""
MAX_ROWS = 1 << ROW_BITS
MOST_FORETOLD = 800_000_000
"""Bytes of files that are read into the system's cache at opening."""

T = TypeVar("T")


class Damaged(Exception):
    """What the files hold is not what was written into them."""


DAMAGE = (sqlite3.DatabaseError, ValueError, Damaged)
"""What opening an index may find."""


class NoIndex(Exception):
    """There is no index that can be read; the message says what brings one."""


def connect(path: Path, *, writes: bool) -> sqlite3.Connection:
    """The file; `writes`: with its tables, made where they are not. Raises `NoIndex`, sqlite3.DatabaseError."""
    if not writes and not path.exists():
        raise NoIndex(f"there is no index of the catalogue at {path.parent}")
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        if writes:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        # What is lost with the power is read again from the topic: the position is in the same file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        made = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if writes and not made:
            connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;")
            path.chmod(0o600)
        elif found != VERSION:
            raise sqlite3.DatabaseError(f"{path.name} is of form {found}; this Novix makes {VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def foretell(folder: Path) -> bool:
    """Tell the system that the files will be read, from their beginning: the first searches then find them in memory.
    Blocks while it reads. False: they are larger than `MOST_FORETOLD`, or than a quarter of the machine's memory."""
    paths = [path for name in (NAME, VECTORS) if (path := folder / name).exists()]
    size = sum(path.stat().st_size for path in paths)
    if size > min(MOST_FORETOLD, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4):
        return False
    for path in paths:
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            chunk = bytearray(1 << 20)
            while file.readinto(chunk):
                pass
    return True


def remove(folder: Path) -> None:
    """Throw the index away."""
    for name in (NAME, f"{NAME}-wal", f"{NAME}-shm", VECTORS):
        (folder / name).unlink(missing_ok=True)


_USUAL = (
    b'{"id":"","hub_id":"64","name":"","author":"","description":"This model is a fine-tuned version of on the '
    b'dataset. ","task":"text-generation","pipeline_tag":"text-classification","tasks":[""],"modality":"text","library'
    b'":"transformers","languages":["en"],"license":"Apache-2.0","license_raw":"apache-2.0","tags":["transformers",'
    b'"safetensors","pytorch","diffusers","gguf","peft","generated_from_trainer","license:mit","license:apache-2.0",'
    b'"endpoints_compatible","region:us","base_model:finetune:","text-generation-inference","conversational"],'
    b'"downloads":1,"downloads_all_time":1,"likes":1,"trending_score":1.0,"created_at":"2025-01-01T00:00:00Z",'
    b'"last_modified":"2025-01-01T00:00:00Z","parameters":7000000000,"size_bytes":14000000000,"dtypes":{"BF16":'
    b'"F32":},"context_tokens":32768,"base_models":[""],"gated":"no","private":false,"disabled":false,"inference":'
    b'"warm","served":[{"provider":"","provider_model":"","status":"live","source":"mapping","input_nanousd_per_mtok":'
    b'"output_nanousd_per_mtok":"first_token_ms":"tokens_per_s":"tools":true,"structured_output":"regions":["us"]}],'
    b'"security":{"scans_done":true,"level":"safe","custom_code":false,"at":"stated_results":[{"dataset":"metric":'
    b'"accuracy","value":0."said":[{"source":"hub","fields":["hub_id","since":"2025-01-01T00:00:00Z"},'
)
"""What most entries share: compressed with it one takes half the room. A part of the file's form."""


def packed(entry: CatalogEntry) -> bytes:
    """An entry's canonical bytes: fields that have a value, in the contract's order."""
    return entry.model_dump_json(exclude_defaults=True).encode()


def pressed(body: bytes) -> bytes:
    """As it is stored."""
    press = zlib.compressobj(3, zlib.DEFLATED, -13, 6, zdict=_USUAL)
    return press.compress(body) + press.flush()


def unpacked(stored: bytes, digest: bytes) -> CatalogEntry:
    """The entry of stored bytes. Raises `Damaged` for bytes that are not those that were stored."""
    try:
        body = zlib.decompressobj(-13, zdict=_USUAL).decompress(stored)
    except zlib.error:
        body = b""
    if digest_of(body) != digest:
        raise Damaged("an entry of the index is damaged: its bytes are not those that were written")
    return CatalogEntry.model_validate_json(body)


def digest_of(*parts: bytes) -> bytes:
    """16 bytes that tell contents apart."""
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()


def batched(values: Iterable[T], most: int) -> Iterator[list[T]]:
    """Lists of at most `most`."""
    some: list[T] = []
    for value in values:
        some.append(value)
        if len(some) == most:
            yield some
            some = []
    if some:
        yield some


def marks(values: Sequence[object]) -> str:
    """Question marks for an `IN (...)`."""
    return ", ".join("?" * len(values))
