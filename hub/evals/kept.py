"""Every evaluation and bench run that was kept: the fold of `novix.evals.v1`. Pure."""

from collections import OrderedDict
from collections.abc import Sequence

from pydantic import ValidationError

from hub.compare.subject import BETTER_LOW, primary
from runtime.ports import Record
from schemas.evals import EvalRun

MOST_RUNS = 20_000
"""That are remembered, the last ones written."""
MOST_MARKS = 1_000_000
"""Numbers of examples that are remembered, of the runs written last: some 32 MB. Older runs are compared by their
intervals."""


class Runs:
    """The runs, the last written of each model, set and id. One owner; no clock, no I/O."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[str, str, str], EvalRun] = OrderedDict()
        self._by_model: dict[str, dict[tuple[str, str, str], EvalRun]] = {}
        self._marked: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._marks = 0
        self._next = 0
        self.unreadable = 0

    def fold(self, record: Record) -> None:
        """Take in one record; one that was folded before changes nothing, one that cannot be read is counted."""
        if record.offset < self._next:
            return
        self._next = record.offset + 1
        if record.value is None:
            return
        try:
            run = EvalRun.model_validate_json(record.value)
        except ValidationError:
            self.unreadable += 1
            return
        key = run.model, run.dataset, run.run_id
        self._runs[key] = run
        self._runs.move_to_end(key)
        self._by_model.setdefault(run.model, {})[key] = run
        self._remember(key, len(run.marks))
        while len(self._runs) > MOST_RUNS:
            old, _ = self._runs.popitem(last=False)
            self._marks -= self._marked.pop(old, 0)
            left = self._by_model[old[0]]
            del left[old]
            if not left:
                del self._by_model[old[0]]

    def _remember(self, key: tuple[str, str, str], marks: int) -> None:
        """Keep the run's marks, and forget those of the oldest runs that are too many."""
        self._marks += marks - self._marked.pop(key, 0)
        if marks:
            self._marked[key] = marks
        while self._marks > MOST_MARKS:
            old, number = self._marked.popitem(last=False)
            self._marks -= number
            self._runs[old] = self._by_model[old[0]][old] = self._runs[old].model_copy(update={"marks": ()})

    @property
    def models(self) -> frozenset[str]:
        """Those that have a run."""
        return frozenset(self._by_model)

    @property
    def version(self) -> int:
        """The offset after the last record that was folded."""
        return self._next

    def of(self, model: str) -> list[EvalRun]:
        """A model's runs, the newest first."""
        return newest_first(list(self._by_model.get(model, {}).values()))

    def all(self) -> list[EvalRun]:
        """The newest first."""
        return newest_first(list(self._runs.values()))

    def quality(self, model: str, task: str | None) -> float | None:
        """From 0 to 1: the newest evaluation on that task, or on any; of a word error rate what is left of 1, at least
        0."""
        for run in self.of(model):
            score = primary(run)
            if run.kind == "eval" and score is not None and (task or run.task) == run.task:
                good = 1 - score.value if score.metric in BETTER_LOW else score.value
                return min(1.0, max(0.0, good))
        return None

    def bench(self, model: str, task: str | None = None) -> EvalRun | None:
        """The newest bench run."""
        return next((run for run in self.of(model) if run.kind == "bench" and (task or run.task) == run.task), None)


def newest_first(runs: Sequence[EvalRun]) -> list[EvalRun]:
    """By their ends; of equal ones by name."""
    return sorted(runs, key=lambda run: (-run.ended_at.timestamp(), run.model, run.dataset, run.run_id))


def key_of(run: EvalRun) -> bytes:
    """The record's key on `novix.evals.v1`."""
    return f"{run.model}/{run.dataset}/{run.run_id}".encode()
