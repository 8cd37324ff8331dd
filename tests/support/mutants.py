"""Bad jobs, one kind after another: what a careless or hostile producer may write, and what must come of it."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from system import chat

Expected = Literal["rejected", "dead", "any"]
"""A typed `rejected` result; a dead letter; or whatever the bytes happen to say, but exactly once."""
Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One record for the jobs topic."""

    kind: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    expected: Expected
    told: tuple[str, ...] = ()
    """What the refusal's message names: the field, the value's size, the limit."""
    failure: str | None = None
    """The failure's kind, where only one is right."""


Make = Callable[[dict[str, Any], random.Random], Mutant]


def _whole(job: dict[str, Any]) -> bytes:
    return json.dumps(job).encode()


def _field(name: str, value: Any, *told: str, failure: str | None = "invalid_job") -> Make:
    """The field has this value."""

    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        value_now = value() if callable(value) else value
        wrong = _whole({**job, name: value_now})
        return Mutant(f"{name}={str(value_now)[:30]}", b"k", wrong, [], "rejected", (name, *told), failure)

    return make


def _nameless(name: str, value: Any, *told: str) -> Make:
    """A field that names the job is wrong: there is nobody to tell."""

    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        wrong = {key: part for key, part in job.items() if key != name} | ({} if value is None else {name: value})
        return Mutant(f"{name}={str(value)[:20]}", b"k", _whole(wrong), [], "dead", (name, *told), "invalid_job")

    return make


def _input(value: Any, *told: str, failure: str = "invalid_input", task: str = "chat-completion") -> Make:
    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        wrong = _whole({**job, "task": task, "input": value})
        return Mutant(f"{task} input={str(value)[:30]}", b"k", wrong, [], "rejected", told, failure)

    return make


def _headers(headers: Callable[[], Headers], *told: str, failure: str) -> Make:
    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        return Mutant(f"{failure} headers", b"k", _whole(job), headers(), "rejected", told, failure)

    return make


def _bytes(kind: str, value: Callable[[dict[str, Any]], bytes], expected: Expected, failure: str | None = None) -> Make:
    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        return Mutant(kind, b"k", value(job), [], expected, (), failure)

    return make


def _nothing(key: bytes | None) -> Make:
    return lambda job, dice: Mutant(f"null, key {key!r}", key, None, [], "dead", (), "undecodable")


def _padded(size_bytes: int) -> Make:
    """A job of exactly so many bytes."""

    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        job = {**job, "input": {"messages": [{"role": "user", "content": ""}]}}
        job["input"]["messages"][0]["content"] = "x" * (size_bytes - len(_whole(job)))
        told = ("job", str(size_bytes), "262144")
        return Mutant(f"{size_bytes} bytes", b"k", _whole(job), [], "rejected", told, "too_large")

    return make


def _deep(levels: int, where: str) -> Make:
    def make(job: dict[str, Any], _: random.Random) -> Mutant:
        hole = f'"{where}": ' + "[" * levels + "]" * levels
        value = _whole({key: part for key, part in job.items() if key != where})[:-1] + f", {hole}}}".encode()
        expected: Expected = "rejected" if levels < 900 else "any"
        return Mutant(f"{levels} levels in {where}", b"k", value, [], expected, (where, "64") if levels < 900 else ())

    return make


def _flipped(job: dict[str, Any], dice: random.Random) -> Mutant:
    value = bytearray(_whole(job))
    for _ in range(dice.randint(1, 4)):
        value[dice.randrange(len(value))] ^= 1 << dice.randrange(8)
    return Mutant("bits flipped", b"k", bytes(value), [], "any")


def _noise(job: dict[str, Any], dice: random.Random) -> Mutant:
    return Mutant(
        "noise", dice.randbytes(8), b"\xff" + dice.randbytes(dice.randint(0, 300)), [], "dead", (), "undecodable"
    )


def _truncated(job: dict[str, Any], dice: random.Random) -> Mutant:
    whole = _whole(job)
    return Mutant("truncated", b"k", whole[: dice.randrange(len(whole))], [], "dead", (), "undecodable")


NESTED: dict[str, Any] = {"a": [{"b": None}]}

KINDS: tuple[Make, ...] = (
    _flipped,
    _flipped,
    _truncated,
    _noise,
    _bytes("empty value", lambda _: b"", "dead", "undecodable"),
    _bytes("not UTF-8", lambda job: _whole(job).replace(b"bees", b"\xff\xfe"), "dead", "undecodable"),
    _bytes("lone surrogate", lambda job: _whole(job).replace(b"bees", b"\\ud800"), "dead", "undecodable"),
    _bytes("UTF-16", lambda job: json.dumps(job).encode("utf-16"), "dead", "undecodable"),
    _bytes("NaN", lambda job: _whole({**job, "timeout_s": float("nan")}), "dead", "undecodable"),
    _bytes("infinity", lambda job: _whole({**job, "timeout_s": float("inf")}), "dead", "undecodable"),
    _bytes("a list", lambda job: _whole([job]), "dead", "undecodable"),  # type: ignore[arg-type]
    _bytes("a text", lambda job: _whole("job"), "dead", "undecodable"),  # type: ignore[arg-type]
    _bytes("null", lambda _: b"null", "dead", "undecodable"),
    _bytes("two objects", lambda job: _whole(job) * 2, "dead", "undecodable"),
    _bytes("duplicate keys", lambda job: _whole(job)[:-1] + b', "task": 1}', "rejected", "invalid_job"),
    _bytes("a huge integer", lambda job: _whole(job)[:-1] + b', "max_cost_nanousd": ' + b"9" * 400 + b"}", "any"),
    _nothing(None),
    _nothing(b"k"),
    _nameless("id", None, "missing"),
    _nameless("id", "", "0", "256"),
    _nameless("id", "i" * 257, "257", "256"),
    _nameless("id", 7, "int"),
    _nameless("id", True, "bool"),
    _nameless("id", NESTED, "dict"),
    _nameless("id", "a\nb"),
    _nameless("tenant", "", "0", "128"),
    _nameless("tenant", "t" * 129, "129", "128"),
    _nameless("tenant", "a/b"),
    _nameless("tenant", "a b"),
    _nameless("tenant", 1.5, "float"),
    _nameless("tenant", ["x"], "list"),
    _field("task", "paint-a-fence", failure="unknown_task"),
    _field("task", "", failure=None),
    _field("task", "t" * 65, "65", "64"),
    _field("task", 3),
    _field("task", None),
    _field("input", None),
    _field("input", "Hi"),
    _field("input", []),
    _field("model", ""),
    _field("model", "m" * 257, "257", "256"),
    _field("model", 5),
    _field("model", "nobody/has-this", failure="unknown_model"),
    _field("provider", "p" * 65, "65", "64"),
    _field("provider", "nobody", failure="unknown_provider"),
    _field("provider", {}),
    _field("max_cost_nanousd", -1, "-1", "0"),
    _field("max_cost_nanousd", True),
    _field("max_cost_nanousd", 1.5),
    _field("max_cost_nanousd", "10"),
    _field("max_cost_nanousd", 10**15 + 1, str(10**15)),
    _field("max_cost_nanousd", 2**63),
    _field("timeout_s", 0, "0"),
    _field("timeout_s", -5, "-5"),
    _field("timeout_s", 10**9, "604800"),
    _field("timeout_s", "60"),
    _field("timeout_s", True),
    _field("deadline", "tomorrow"),
    _field("deadline", "2030-01-01T00:00:00"),
    _field("deadline", 1_900_000_000),
    _field("deadline", "2030-13-01T00:00:00Z"),
    _field("deadline", "0001-01-01T00:00:00+14:00"),
    _field("deadline", {}),
    _field("priority", "urgent"),
    _field("priority", 1),
    _field("ordering_key", ""),
    _field("ordering_key", "o" * 257, "257", "256"),
    _field("ordering_key", "a\tb"),
    _field("ordering_key", 1),
    _field("metadata", []),
    _field("metadata", {"a": NESTED}),
    _field("metadata", {f"k{n}": 1 for n in range(33)}, "33", "32"),
    _field("metadata", {"k": "v" * 5_000}, "4096"),
    _field("schema", 2, "version 2", failure="unknown_schema"),
    _field("schema", "x" * 300, "300", failure="unknown_schema"),
    _field("schema", NESTED, failure="unknown_schema"),
    _bytes(
        "timeout_s and deadline",
        lambda job: _whole({**job, "timeout_s": 5, "deadline": "2030-01-01T00:00:00Z"}),
        "rejected",
        "invalid_job",
    ),
    _input({}, "messages"),
    _input({"messages": "Hi"}, "messages"),
    _input({"messages": [{"content": "no role"}]}, "messages.0"),
    _input({"messages": [{"role": "user", "content": 5}]}, "messages.0"),
    _input({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": "many"}, "max_tokens"),
    _input({"inputs": 7}, "inputs", task="text-generation"),
    _input({"inputs": {"sentences": []}}, "inputs", task="sentence-similarity"),
    _input({"inputs": "x"}, task="zero-shot-classification"),
    _padded(262_145),
    _padded(300_000),
    _deep(70, "input"),
    _deep(200, "metadata"),
    _deep(2_000, "input"),
    _headers(lambda: [("novix-schema", b"9")], "version 9", failure="unknown_schema"),
    _headers(lambda: [("novix-schema", b"one")], failure="unknown_schema"),
    _headers(lambda: [(f"h{n}", b"v") for n in range(65)], "headers", "65", "64", failure="too_large"),
    _headers(lambda: [("big", b"v" * 20_000)], "headers", "20003", "16384", failure="too_large"),
)
RARE: tuple[Make, ...] = (
    _padded(1_000_000),
    _headers(lambda: [(f"h{n}", b"v") for n in range(10_000)], "headers", "10000", "64", failure="too_large"),
)
"""Large ones: a few of each are enough."""


def mutants(count: int, seed: int, tenants: list[str]) -> Iterator[Mutant]:
    """So many bad jobs, each kind in turn, under ids of their own."""
    dice = random.Random(seed)
    for number in range(count):
        job = chat(f"bad-{number}-{seed}", dice.choice(tenants), max_cost_nanousd=5_000_000)
        del job["max_cost_nanousd"]
        make = RARE[number % len(RARE)] if number < 4 * len(RARE) else KINDS[number % len(KINDS)]
        yield make(job, dice)
