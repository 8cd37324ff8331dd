"""Answers handed to a dialect, and what it makes of them."""

import json
from typing import Any

import pytest
from asks import ASKS
from worker_world import candidate

from workers.errors import ProviderError
from workers.exchange import FIRST, Got, Next, Reply
from workers.providers import PROVIDERS

PAIRS = [(name, task) for name, dialect in PROVIDERS.items() for task in sorted(dialect.tasks)]
"""Every dialect with every task that it carries."""


def got(answer: Any, stage: str = FIRST, headers: dict[str, str] | None = None, memo: Any = None, **change: Any) -> Got:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    kind = "application/octet-stream" if isinstance(answer, bytes) else "application/json"
    fields = {"content-type": kind, **(headers or {})}
    return Got(stage, "http://provider.test/x", 200, fields, body, memo=memo or {}, **change)


def read(name: str, task: str, answer: Any, **change: Any) -> Reply | Next:
    at = candidate(dialect=name, provider=name, provider_model="org/name")
    return PROVIDERS[name].read(ASKS[task], at, got(answer, **change))


def reply(name: str, task: str, answer: Any, **change: Any) -> Reply:
    found = read(name, task, answer, **change)
    assert isinstance(found, Reply)
    return found


def onward(name: str, task: str, answer: Any, **change: Any) -> Next:
    found = read(name, task, answer, **change)
    assert isinstance(found, Next)
    return found


def after(name: str, task: str, step: Next, answer: Any) -> Reply | Next:
    return read(name, task, answer, stage=step.stage, memo=step.memo)


def refusal(name: str, task: str, answer: Any, **change: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        read(name, task, answer, **change)
    return raised.value
