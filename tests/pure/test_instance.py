"""Instance ids: two processes never share one, and a killed process gives its own back at once."""

import subprocess
import sys
from pathlib import Path

from runtime.instance import claim

CLAIM_AND_WAIT = """
import sys
from pathlib import Path
from runtime.instance import claim
held = claim("novix-router", "", Path(sys.argv[1]))
print(held.id, flush=True)
sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]


def process(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT, str(folder)],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def test_two_processes_get_two_slots_and_the_slot_of_a_killed_one_is_free_at_once(tmp_path: Path):
    (first, first_id), (second, second_id) = process(tmp_path), process(tmp_path)
    try:
        assert first_id.endswith("-0")
        assert second_id.endswith("-1")

        first.kill()
        first.wait()

        successor = claim("novix-router", "", tmp_path)
        assert successor.id == first_id
        successor.release()
    finally:
        for child in (first, second):
            child.kill()
            child.communicate()


def test_groups_have_slots_of_their_own(tmp_path: Path):
    router, worker = claim("novix-router", "", tmp_path), claim("a.novix/worker", "", tmp_path)

    assert router.id == worker.id
    router.release()
    worker.release()


def test_a_slot_that_was_released_is_the_lowest_again(tmp_path: Path):
    held = [claim("g", "", tmp_path) for _ in range(3)]
    held[1].release()
    held[1].release()

    again = claim("g", "", tmp_path)

    assert again.id.endswith("-1")
    for one in (*held, again):
        one.release()


def test_a_configured_id_is_taken_as_it_is_and_locks_nothing(tmp_path: Path):
    assert claim("g", "worker-7", tmp_path).id == "worker-7"
    assert list(tmp_path.iterdir()) == []
