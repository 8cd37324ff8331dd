"""What every message has in common: frozen, tolerant of newer writers, units in the name."""

import functools
import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from schemas import codec

SCHEMA_VERSION = 1
"""The contract's version, carried by the header `novix-schema` or the field `schema`."""

MAX_ID_CHARS = 256
MAX_TENANT_CHARS = 128
MAX_NANOUSD = 10**15
"""A million US dollars: more on one job is taken for a mistake."""


class Contract(BaseModel):
    """A message on a topic. Frozen; ignores fields that a newer writer added."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an error that nobody catches ends in a log, and the input may be a prompt
    )

    def encode(self) -> bytes:
        """The message as JSON bytes (UTF-8, no NaN)."""
        return self.model_dump_json(by_alias=True).encode()

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """A message of what is known to be valid, without a look at it, at half the cost: for the hot path.

        `fields` are all of the class, by their Python names and in the class's order.
        """
        made = cls.__new__(cls)
        _put(made, "__dict__", fields)
        _put(made, "__pydantic_fields_set__", _names_of(cls))
        _put(made, "__pydantic_extra__", None)
        _put(made, "__pydantic_private__", None)
        return made

    def lean(self, *repeated: str) -> Self:
        """This message in less memory, for whoever keeps many: which fields were told is no longer known, and the words
        of the `repeated` fields are kept once for all messages that have them."""
        _put(self, "__pydantic_fields_set__", _names_of(type(self)))
        fields = self.__dict__
        for name in repeated:
            fields[name] = sys.intern(fields[name])
        return self

    def plain(self) -> bytes:
        """The bytes of `encode` at a quarter of its cost, where all fields are plain JSON, instants and such contracts,
        and none has an alias."""
        try:
            return codec.encode(self.__dict__, contents)
        except TypeError:  # integers beyond 64 bits, and what else is not plain
            return self.model_dump_json().encode()


_put = object.__setattr__  # a frozen model refuses its own


@functools.cache
def _names_of(contract: type[Contract]) -> set[str]:
    return set(contract.model_fields)


def contents(value: Any) -> dict[str, Any]:
    """The fields of a contract within another, for `codec.encode`. Raises TypeError for anything else."""
    if isinstance(value, Contract):
        return value.__dict__
    raise TypeError(f"a {type(value).__name__} is no JSON")


_LENGTHS = frozenset({len("2026-11-22T12:00:00Z"), len("2026-11-22T12:00:00.000000Z")})


def _instant(value: Any, read: ValidatorFunctionWrapHandler) -> datetime:
    """An instant in UTC. Nearly all are in our own form, and quickly read; others are read by pydantic."""
    if isinstance(value, datetime):
        if value.tzinfo is UTC:
            return value
    elif not isinstance(value, str):
        raise ValueError("must be an ISO 8601 text with a zone, like 2026-11-22T12:00:00Z")
    elif len(value) in _LENGTHS and value[-1] == "Z" and value[10] == "T" and value[7] == "-":
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # no such day or hour: pydantic says which
    return _in_utc(read(value))


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # year 1 east of Greenwich, year 9999 west of it
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def printable(text: str) -> str:
    """Refuse control characters and lone surrogates: ids travel in keys, headers, logs and pages."""
    if not text.isprintable():
        raise ValueError("must have no control character")
    return text


def _no_slash(text: str) -> str:
    if "/" in text or " " in text:
        raise ValueError("must have neither a slash nor a space")
    return text


JobId = Annotated[StrictStr, Field(min_length=1, max_length=MAX_ID_CHARS), AfterValidator(printable)]
TenantId = Annotated[
    StrictStr,
    Field(min_length=1, max_length=MAX_TENANT_CHARS),
    AfterValidator(printable),
    AfterValidator(_no_slash),
]
UtcInstant = Annotated[AwareDatetime, WrapValidator(_instant)]
Nanousd = Annotated[StrictInt, Field(ge=0, le=MAX_NANOUSD)]
"""Thousand-millionths of a US dollar, an integer."""
