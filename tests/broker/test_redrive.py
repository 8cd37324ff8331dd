"""Dead letters driven again on a real broker: the next submission, one result, and nothing new the second time."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from stranger import Found, Stranger, encoded, installation
from system import chat

from schemas import headers
from schemas.topics import AUDIT, DLQ, JOBS, RESULTS

SICK = "openai/gpt-oss-20b"
JOBS_IN = 12


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """One call for each job: what fails is a dead letter at once."""
    with installation(
        broker.bootstrap, tmp_path_factory.mktemp("redrive"), NOVIX_BREAKER="false", NOVIX_MAX_RETRIES="0"
    ) as stranger:
        yield stranger


def behave(novix: Stranger, **how: object) -> None:
    novix.system.stub("/admin/behave", {"model": SICK, **how})


def letters_of(novix: Stranger, tenant: str) -> list[Found]:
    return [found for found in novix.read(DLQ.name) if f'"{tenant}"'.encode() in (found.value or b"")]


def deeds(novix: Stranger, tenant: str) -> Counter[str]:
    entries = [entry for found in novix.read(AUDIT.name) for entry in found.json["entries"]]
    return Counter(entry["action"] for entry in entries if entry.get("tenant") == tenant)


def redrive(novix: Stranger, *arguments: str, expect: int = 0) -> dict[str, object]:
    told: dict[str, object] = json.loads(novix.cli("dlq", "redrive", "--json", *arguments, expect=expect).stdout)
    return told


def test_dead_letters_of_a_provider_that_failed_are_done_once_it_is_well(novix: Stranger, tenant: str):
    behave(novix, status=503)
    novix.publish(*(chat(f"sick-{number}", tenant, model=SICK) for number in range(JOBS_IN)))
    first = novix.results_of(tenant)
    assert {(result["status"], result["submission"]) for result in first} == {("failed", 1)}
    letters = letters_of(novix, tenant)
    assert len(letters) == JOBS_IN
    behave(novix, status=200)

    dry = redrive(novix, "--tenant", tenant, "--dry-run")
    assert (dry["found"], dry["redriven"]) == (JOBS_IN, 0)
    assert len([found for found in novix.read(JOBS.name) if found.key == tenant.encode()]) == JOBS_IN
    told = redrive(novix, "--tenant", tenant, "--yes", "--rate", "500")
    assert (told["redriven"], told["refused"]) == (JOBS_IN, 0)
    again = novix.results_of(tenant)
    assert Counter((result["status"], result["submission"]) for result in again) == {
        ("failed", 1): JOBS_IN,
        ("succeeded", 2): JOBS_IN,
    }
    assert len({result["job_id"] for result in again}) == JOBS_IN

    assert redrive(novix, "--tenant", tenant, "--yes", "--rate", "500")["redriven"] == JOBS_IN
    assert len(novix.results_of(tenant)) == 2 * JOBS_IN
    done = deeds(novix, tenant)
    assert done["job.redriven"] == done["job.redriven_before"] == JOBS_IN
    assert len(letters_of(novix, tenant)) == JOBS_IN


def test_one_letter_is_shown_and_driven_by_its_place(novix: Stranger, tenant: str):
    behave(novix, status=503)
    novix.run(chat("one", tenant, text="the canary", model=SICK))
    novix.run(chat("other", tenant, model=SICK))
    behave(novix, status=200)
    [listed] = [
        json.loads(line)
        for line in novix.cli("dlq", "list", "--tenant", tenant, "--since", "10m", "--json").stdout.splitlines()
        if '"one"' in line
    ]
    assert (listed["has_result"], listed["job_id"], listed["value_bytes"] > 100) == (True, "one", True)
    shown = novix.cli("dlq", "show", listed["place"]).stdout
    assert "the canary" not in shown
    assert "the canary" in novix.cli("dlq", "show", listed["place"], "--value").stdout

    novix.cli("dlq", "redrive", listed["place"])

    result = novix.result("one", tenant, submission=2)
    assert result["status"] == "succeeded"
    told = [
        entry
        for found in novix.read(AUDIT.name)
        for entry in found.json["entries"]
        if entry.get("tenant") == tenant and entry["action"] == "job.redriven"
    ]
    assert [(entry["job_id"], entry["submission"]) for entry in told] == [("one", 2)]
    assert listed["place"] in json.dumps(told[0]["detail"])
    assert re.search(r"novix dlq redrive by \S+ at ", json.dumps(told[0]["detail"]))
    assert len(novix.results_of(tenant)) == 3


def test_what_names_no_job_stays_where_it_is(novix: Stranger, tenant: str):
    nonsense = f'no job of "{tenant}"'.encode()
    novix.write([(None, nonsense, [])])
    until = time.monotonic() + 60
    while not (letters := letters_of(novix, tenant)):
        assert time.monotonic() < until
        time.sleep(0.2)
    place = f"{letters[0].partition}/{letters[0].offset}"

    told = redrive(novix, place, expect=1)

    assert (told["redriven"], told["refused"]) == (0, 1)
    assert place in str(told["errors"])


def test_a_claim_to_be_somebody_elses_dead_letter_gains_nothing(novix: Stranger, tenant: str):
    """The producer of another job, and of the same id with other content, point at a letter that is not theirs."""
    behave(novix, status=503)
    novix.run(chat("mine", tenant, model=SICK))
    behave(novix, status=200)
    [letter] = letters_of(novix, tenant)
    claim = [(headers.REDRIVE, f"{letter.partition}/{letter.offset}".encode())]
    other = f"{tenant}-other"
    novix.write(
        [
            (other.encode(), encoded(chat("mine", other)), claim),
            (tenant.encode(), encoded(chat("mine", tenant, text="something else", model=SICK)), claim),
        ]
    )

    assert novix.result("mine", other)["submission"] == 1
    assert [result["submission"] for result in novix.results_of(tenant)] == [1]
    assert [found for found in novix.read(JOBS.name) if found.key == tenant.encode()]
    assert not [found for found in novix.read(RESULTS.name) if found.key == f"{tenant}/mine".encode()][1:]
