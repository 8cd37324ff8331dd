"""What the verdict on a schedule says of breakers: who has an open one calls nobody behind it."""

import pytest
from simulation.provider import SMALL, Call
from simulation.verdict_breakers import GRACE_S, as_let_through

OPEN_S, TRIED_S = 10.0, 14.0
TURNS = {(1, "groq", SMALL): [(OPEN_S, "open"), (TRIED_S, "half-open"), (TRIED_S + 1, "closed")]}


def called(at: float, pid: int = 1, provider: str = "groq") -> Call:
    return Call(0, at, "ants/a", pid, "worker-0", provider=provider, model=SMALL)


@pytest.mark.parametrize("at", [OPEN_S - 1, OPEN_S + GRACE_S / 2, TRIED_S, TRIED_S + 1, TRIED_S + 20])
def test_calls_before_it_opens_as_it_does_and_when_it_may_be_tried_are_lawful(at: float) -> None:
    assert list(as_let_through(TURNS, [called(at)], frozenset())) == []


def test_a_call_behind_an_open_breaker_is_told() -> None:
    [complaint] = as_let_through(TURNS, [called(OPEN_S + 2), called(OPEN_S + 3)], frozenset({"kill"}))

    assert complaint == f"I10: #1 made 2 calls of groq/{SMALL} while its breaker was open"


def test_one_that_never_closes_again_is_open_to_the_end() -> None:
    turns = {key: changes[:1] for key, changes in TURNS.items()}
    assert len(list(as_let_through(turns, [called(OPEN_S + 900)], frozenset()))) == 1


def test_other_processes_and_providers_are_not_its_affair_and_slow_notes_are_excused() -> None:
    late = OPEN_S + 2
    assert list(as_let_through(TURNS, [called(late, pid=2), called(late, provider="together")], frozenset())) == []
    assert list(as_let_through(TURNS, [called(late)], frozenset({"freeze"}))) == []
