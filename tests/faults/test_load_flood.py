"""One tenant floods: the others are served beside it, not after it."""

import pytest
from ordeal import ordeal
from system import chat

FLOOD, OTHERS, EACH = 1_200, 6, 10


@pytest.mark.row(41)
def test_whoever_comes_after_a_flood_of_another_tenant_is_served_long_before_its_end(broker, tmp_path, proof):
    """First come, first served would end all of the flood before them."""
    with ordeal(broker.bootstrap, tmp_path, proof=proof) as run:
        flood = [chat(f"flood-{number}", tenant="flood") for number in range(FLOOD)]
        few = [chat(f"few-{number}", tenant=f"few-{number % OTHERS}") for number in range(OTHERS * EACH)]
        run.wanted += [(job["tenant"], job["id"], 1) for job in (*flood, *few)]
        run.stranger.publish(*flood)
        before = len(run.stranger.until(lambda results: len(results) >= 50))
        run.stranger.publish(*few)
        results = run.stranger.until(
            lambda results: sum((found.key or b"").startswith(b"few-") for found in results) >= len(few)
        )
        flooded = sum((found.key or b"").startswith(b"flood/") for found in results)
        run.verdict(note=f"{flooded - before} of the flood's other {FLOOD - before} ended before {len(few)} of others")

    assert flooded < (before + FLOOD) / 2
