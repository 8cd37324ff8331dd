"""A thousand bad jobs among a thousand good ones: every good one is served, every bad one is accounted for once."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from mutants import Mutant, mutants
from stranger import TOKEN, Found, Place, Stranger, encoded, installation
from system import chat

from schemas.failure import FailureKind
from schemas.topics import DLQ, JOBS, RESULTS, RETRY_TIERS, TEXT

COUNT = 1_000
SEED = 20261122
CANARY = "the-canary-hums-below-the-ninth-gallery"
TENANTS = [f"tenant-{number}" for number in range(7)]
PARTITIONERS = ("murmur2_random", "consistent_random", "random")


@dataclass
class Aftermath:
    """What was published, and what is there when nothing is on its way any more."""

    novix: Stranger
    good: dict[str, str]
    """Job id -> tenant."""
    bad: dict[Place, Mutant]
    results: list[Found]
    letters: list[Found]

    def answers(self) -> dict[Place, list[Found]]:
        """Results and dead letters by the record that its producer wrote."""
        found: dict[Place, list[Found]] = defaultdict(list)
        for result in self.results:
            received = result.json["received"]
            found[received["partition"], received["offset"]].append(result)
        for letter in self.letters:
            origin = letter.header("novix-origin")
            if origin is not None:
                partition, offset, _ = origin.split("/")
            else:
                partition, offset = (letter.header(f"__dlq.errors.{name}") or "" for name in ("partition", "offset"))
            found[int(partition), int(offset)].append(letter)
        return found


@pytest.fixture(scope="module")
def aftermath(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("bad-jobs")
    with installation(broker.bootstrap, folder, NOVIX_LOG_LEVEL="debug") as novix:
        dice = random.Random(SEED)
        good = [chat(f"good-{number}", dice.choice(TENANTS), text=f"{CANARY} {number}") for number in range(COUNT)]
        records = [(job["tenant"].encode(), encoded(job), []) for job in good]
        bad = list(mutants(COUNT, SEED, TENANTS))
        # The canary stands in the prompts of good and bad jobs alike.
        spoilt = [(one.key, one.value and one.value.replace(b"What do", CANARY.encode()), one.headers) for one in bad]
        whole = [(None, record) for record in records] + list(zip(bad, spoilt, strict=True))
        dice.shuffle(whole)
        places: dict[Place, Mutant] = {}
        for number, partitioner in enumerate(PARTITIONERS):
            share = whole[number :: len(PARTITIONERS)]
            written = novix.write([record for _, record in share], partitioner)
            places |= {place: one for place, (one, _) in zip(written, share, strict=True) if one is not None}
        novix.quiet()
        yield Aftermath(
            novix, {job["id"]: job["tenant"] for job in good}, places, novix.read(RESULTS.name), novix.read(DLQ.name)
        )


def test_every_good_job_among_them_has_its_one_result(aftermath: Aftermath):
    good = [found.json for found in aftermath.results if found.json["job_id"] in aftermath.good]

    assert Counter(result["job_id"] for result in good) == Counter(aftermath.good.keys())
    assert {result["status"] for result in good} == {"succeeded"}


def test_every_bad_job_is_accounted_for_by_exactly_one_result_or_dead_letter(aftermath: Aftermath):
    answers = aftermath.answers()
    wrong = {
        f"{mutant.kind} at {place}": [(one.topic, one.value[:200] if one.value else None) for one in answers[place]]
        for place, mutant in aftermath.bad.items()
        if len(answers[place]) != 1
    }

    assert wrong == {}
    assert len(aftermath.bad) == COUNT
    assert len(aftermath.results) + len(aftermath.letters) == 2 * COUNT


def test_each_bad_job_ends_as_its_fault_demands_and_is_told_field_size_and_limit(aftermath: Aftermath):
    answers = aftermath.answers()
    wrong = []
    for place, mutant in aftermath.bad.items():
        [answer] = answers[place]
        if answer.topic == RESULTS.name:
            error = answer.json["error"] or {}
            ended, kind, message = answer.json["status"], error.get("kind"), error.get("message", "")
        else:
            kind, _, message = (answer.header("__dlq.errors.message") or "").partition(": ")
            ended = "dead"
        fits = mutant.expected in ("any", ended) and mutant.failure in (None, kind)
        if not fits or any(part not in message for part in mutant.told):
            wrong.append(
                f"{mutant.kind}: {ended} {kind}: {message}; should be {mutant.expected} and name {mutant.told}"
            )

    assert wrong == []


def test_what_ends_as_dead_letter_keeps_its_bytes_and_says_why(aftermath: Aftermath):
    kinds = {str(kind) for kind in FailureKind}
    originals = {(found.partition, found.offset): found for found in aftermath.novix.read(JOBS.name)}
    for letter in aftermath.letters:
        place = int(letter.header("__dlq.errors.partition") or ""), int(letter.header("__dlq.errors.offset") or "")
        original = originals[place]
        # aiokafka writes no record that has neither key nor value: such a one gets an empty value.
        assert (letter.key, letter.value or b"") == (original.key, original.value or b"")
        assert letter.header("__dlq.errors.topic") == JOBS.name
        assert letter.header("__dlq.errors.group") == "novix-router"
        assert (letter.header("__dlq.errors.message") or "").partition(":")[0] in kinds


def test_the_lanes_go_on_and_no_process_complained(aftermath: Aftermath):
    novix = aftermath.novix
    assert all(novix.run(chat(f"afterwards-{tenant}", tenant))["status"] == "succeeded" for tenant in TENANTS)
    for log in novix.folder.glob("*.log"):
        complaints = ("handler failed", "lane.rebuilt", "lane.stopped")
        assert [line for line in log.read_text().splitlines() if any(one in line for one in complaints)] == []


def test_no_prompt_and_no_token_is_where_it_should_not_be(aftermath: Aftermath):
    of_jobs = (JOBS.name, TEXT.name, *(topic.name for _, topic in RETRY_TIERS), DLQ.name)  # a crowd may wait elsewhere
    assert aftermath.novix.leaks(CANARY, besides=of_jobs) == []
    assert aftermath.novix.leaks(TOKEN) == []
