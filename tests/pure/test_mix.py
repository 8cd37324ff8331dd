"""The mix of `novix bench`: shares that are kept, the same jobs for the same seed, figures that add up."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.mix.measured import ALL, Ended, document, measured, ratio_lines, ratios, rows
from console.mix.workload import MODALITIES, BadMix, Mix, workload
from schemas.job import InferenceJob
from schemas.tasks import input_fault, modality_of

SHARES = st.lists(st.integers(0, 100), min_size=3, max_size=3).map(sorted).map(
    lambda cuts: (cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], 100 - cuts[2])
)  # fmt: skip


@given(SHARES, st.integers(0, 5_000))
def test_every_modality_gets_its_share_of_any_number_of_jobs_within_one_job(
    shares: tuple[int, int, int, int], jobs: int
):
    counts = Mix(shares).counts(jobs)

    assert sum(counts.values()) == jobs
    for name, share in zip(MODALITIES, shares, strict=True):
        assert abs(counts[name] - share * jobs / 100) < 1


def test_the_briefs_mix_is_reproduced_exactly_and_in_mixed_order():
    made = workload(Mix.read("40/30/20/10"), 200, 1, "acme")

    assert Counter(job.modality for job in made) == {"text": 80, "image": 60, "audio": 40, "multimodal": 20}
    assert len({job.modality for job in made[:20]}) > 2
    assert len({job.document["id"] for job in made}) == 200


def test_the_same_seed_makes_the_same_jobs_and_another_one_others():
    mix = Mix.read("40/30/20/10")

    assert workload(mix, 30, 7, "acme") == workload(mix, 30, 7, "acme")
    assert workload(mix, 30, 7, "acme") != workload(mix, 30, 8, "acme")


def test_every_job_is_valid_and_goes_to_the_workers_of_its_modality():
    for one in workload(Mix.read("25/25/25/25"), 60, 3, "acme"):
        job = InferenceJob.model_validate(one.document)
        assert input_fault(job.task, job.input) is None
        assert modality_of(job.task, job.input) == one.modality


@pytest.mark.parametrize(
    "text", ["", "40/30/20", "40/30/20/11", "40/30/20/10/0", "a/b/c/d", "-10/50/50/10", "1000/0/0/0"]
)
def test_what_is_no_mix_is_told(text: str):
    with pytest.raises(BadMix, match=r"40/30/20/10|together"):
        Mix.read(text)


def test_figures_are_of_each_modality_and_of_all():
    ended = [Ended("text", True, 0.1 * (at + 1), 100) for at in range(10)] + [Ended("image", False, 4.0, 900)] * 2

    found = measured(ended, 6.0)

    assert list(found) == ["image", "text", ALL]
    assert (found["text"].jobs, found["text"].succeeded, found["image"].succeeded) == (10, 10, 0)
    assert found["text"].p50_ms == pytest.approx(550)
    assert found["text"].p95_ms == pytest.approx(955)
    assert (found[ALL].per_second, found[ALL].cost_nanousd) == (2.0, 2_800)
    assert found["image"].share == pytest.approx(100 / 6)
    assert [row[0] for row in rows(found)] == list(document(found))


def test_two_runs_are_told_as_ratios_and_nothing_is_divided_by_nothing():
    on = measured([Ended("text", True, 1.0, 50)] * 4, 2.0)
    off = measured([Ended("text", True, 2.0, 0)] * 4, 4.0)

    told = ratios(on, off)

    assert told[ALL] == {"throughput": 2.0, "p50": 0.5, "p95": 0.5, "cost": None}
    assert ratio_lines(told)[-1] == "all: throughput x 2.00, p50 x 0.50, p95 x 0.50, cost -"
