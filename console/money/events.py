"""Events of accounts and rules: made from what a person asked for, checked by the contract, then published.

Nothing is published unless all of it is valid. Each history is one partition: the offset that comes back is its
version from then on.
"""

from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from console.exits import CommandError, Exit
from console.kafka import Log
from console.money.amounts import BadAmount, nanousd
from runtime.ports import Outgoing, Record
from schemas.accounts import AccountRecord
from schemas.base import MAX_NANOUSD
from schemas.policies import PolicyRecord
from schemas.topics import BUDGETS, POLICIES, Topic

Event = TypeVar("Event", bound=BaseModel)


def amount(option: str, text: str, *, least: int = 0, most: int = MAX_NANOUSD) -> int:
    """An option's dollars as nano-dollars. Raises `CommandError` naming option, value and limit."""
    try:
        return nanousd(text, least=least, most=most)
    except BadAmount as error:
        raise CommandError(f"{option}: {error}", Exit.USAGE) from None


def made(contract: type[Event], **fields: Any) -> Event:
    """An event of now. Raises `CommandError` naming each field that is wrong, with its value and the rule."""
    try:
        return contract.model_validate({"at": datetime.now(UTC), **fields})
    except ValidationError as error:
        raise CommandError("; ".join(wrong(error)), Exit.USAGE) from None


def wrong(error: ValidationError) -> list[str]:
    """Each fault as `field 'value': rule`, values cut at 40 characters."""
    return [
        f"{'.'.join(map(str, one['loc'])) or 'event'} {_shown(one['input'])}: "
        + one["msg"].removeprefix("Value error, ")
        for one in error.errors(include_url=False)
    ]


async def publish(log: Log, topic: Topic, key: str, record: BaseModel) -> int:
    """Append one event to its history; its offset. Raises `CommandError` if the history is not there."""
    count = await log.reader().partitions(topic.name)
    if not count:
        raise CommandError(f"the topic {topic.name} does not exist; create the topics with: novix topics create")
    value = record.model_dump_json(by_alias=True).encode()
    [(_, offset)] = await log.publish([Outgoing(topic.name, key.encode(), value, partition=0)])
    return offset


async def account(log: Log, key: str, event: BaseModel) -> int:
    """Publish one event of `novix.budgets.v1`; the version of accounts from then on."""
    return await publish(log, BUDGETS, key, AccountRecord.model_validate({"event": event})) + 1


async def rule(log: Log, key: str, event: BaseModel) -> int:
    """Publish one event of `novix.policies.v1`; the version of rules from then on."""
    return await publish(log, POLICIES, key, PolicyRecord.model_validate({"event": event})) + 1


async def history(log: Log, topic: Topic) -> list[Record]:
    """A history from its beginning: small, for it is what operators said. Empty where the topic does not exist."""
    reader = log.reader()
    if not await reader.partitions(topic.name):
        return []
    first, end = await reader.bounds(topic.name, 0)
    return [record async for record in reader.read(topic.name, 0, first, end)]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."
