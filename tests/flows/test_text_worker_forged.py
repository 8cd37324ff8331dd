"""Assigned jobs that no router writes: whatever a record says, the worker answers with a typed end."""

import json

import pytest
from forged import CHANGES, assigned
from worker_world import answer, result_of, world

from runtime.outcome import GiveUp
from runtime.ports import Record
from schemas.failure import FailureKind
from schemas.topics import TEXT


@pytest.mark.parametrize("kind", CHANGES)
async def test_a_forged_job_ends_typed_and_is_no_fault_of_ours(kind: str):
    made = world(answer())
    document = assigned("forged-1", "https://router.huggingface.co")
    document["assignment"]["deadline"] = "2026-11-22T13:00:00Z"
    CHANGES[kind](document)

    done = await made.run(Record(TEXT.name, 0, 5, b"k", json.dumps(document).encode(), (), 1_795_336_718_719))

    if done.records:
        error = result_of(done).error
        assert error is None or error.kind is not FailureKind.INTERNAL
    else:
        assert isinstance(done, GiveUp)
        assert done.kind is FailureKind.UNDECODABLE
        assert len(done.message) < 1_000
