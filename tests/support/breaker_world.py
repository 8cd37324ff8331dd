"""Breakers on a clock turned by hand, and callers that succeed and fail."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runtime.breaker import BreakerKey, Breakers, Permit, Refusal

KEY = BreakerKey("together", "llama")
OTHER = BreakerKey("together", "qwen")


@dataclass
class Clock:
    """Turned by hand."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> datetime:
        return datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(seconds=self.now - 1_000)


def permit(breakers: Breakers, key: BreakerKey = KEY) -> Permit:
    answer = breakers.admit(key)
    assert isinstance(answer, Permit)
    return answer


def fail(breakers: Breakers, times: int = 3) -> None:
    for _ in range(times):
        permit(breakers).failed("server_error")


def is_open(breakers: Breakers) -> bool:
    return isinstance(breakers.admit(KEY), Refusal)
