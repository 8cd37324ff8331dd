"""Random faults, several at once, from one seed: whatever happens, each job ends once and every process is well again.

Any seed: `NOVIX_FAULT_SEED=n .venv/bin/pytest tests/faults/test_schedule.py`. A seed fixes what happens and when; how
far the work has come by then is the affair of the machine, so a failure may need several runs of its seed.
"""

import pytest
from ordeal import PER_FREEZE, SESSION, ordeal
from schedule import LENGTH_S, WORKERS, Faults, schedule

SEED = 4
SHORT_S = 10.0
FIRST, WAVE = 150, 30
"""Jobs that are published before the first fault, and with each."""


@pytest.mark.row(1, 3, 4, 5)
@pytest.mark.parametrize("length_s", [SHORT_S, pytest.param(LENGTH_S, marks=pytest.mark.long)])
def test_whatever_happens_each_job_ends_once_and_every_process_is_well_again(mortal, tmp_path, proof, length_s):
    seed = proof.seed(SEED)
    steps = schedule(seed, length_s)
    short = {"NOVIX_BREAKER_RESET_S": "2", "NOVIX_DRAIN_S": "20", "NOVIX_BACKOFF_FACTOR_S": "0.2"}
    with ordeal(mortal.bootstrap, tmp_path, crew=WORKERS, proof=proof, **SESSION, **short) as run:
        faults = Faults(run, mortal)
        run.publish(FIRST)
        run.more(FIRST // 3)
        for step in steps:
            faults.meanwhile(step.after_s)
            faults.publish(WAVE)
            faults.do(step)
        faults.heal()
        run.healed()

        told = f"seed {seed}: " + "; ".join(map(str, steps))
        assert not faults.strays, f"{faults.strays}; {told}"
        try:
            run.verdict(excused=True, zombies=faults.freezes * PER_FREEZE)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{told}") from None
