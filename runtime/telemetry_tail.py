"""Which jobs' spans are written where not all are: decided when a job settles, with all its spans known. Pure.

The sampler (`OTEL_TRACES_SAMPLER`) decides at a trace's beginning and its decision travels in `traceparent`, so every
stage makes the same one. What it leaves out is looked at again here, stage by stage: errors are kept, and so are the
slowest. A stage that settled before cannot know: of such a trace only the stages from the first error on are there.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from runtime.telemetry import SpanDraft

WINDOW = 1_000
"""Jobs of one stage by which the slowest are told."""
LEAST = 100
"""Before so many jobs nobody can say which are slow."""
SLOWEST = 0.01
"""Share of jobs that count as the slowest: above the 99th percentile of the last `WINDOW`."""
MOST_STAGES = 64


class Tail:
    """One process's, or one of its applications'. `off`: nothing is kept at all."""

    def __init__(self, *, off: bool = False) -> None:
        self._off = off
        self._stages: dict[str, Stage] = {}
        self.sampled = 0
        """Jobs whose spans were written because the sampler took them."""
        self.failed = 0
        """Jobs that it did not take, and that were written for an error in them."""
        self.slow = 0
        """The same, among the slowest."""
        self.left_out = 0
        """Jobs whose spans were not written."""
        self.spans_left_out = 0

    def kept(self, spans: Sequence[SpanDraft]) -> Sequence[SpanDraft]:
        """Of the spans of one job at one stage, its first the whole of it, those that are written: all or none."""
        if not spans:
            return spans
        if self._off:
            return self._none(spans)
        whole = spans[0]
        stage, took_s = self._stage(whole)
        if whole.context.sampled:
            if stage is not None:
                stage.seen(took_s)
            self.sampled += 1
            return spans
        slow = stage is not None and stage.is_slow(took_s)
        if any(span.error is not None for span in spans):
            self.failed += 1
        elif slow:
            self.slow += 1
        else:
            return self._none(spans)
        return [replace(span, context=replace(span.context, sampled=True)) for span in spans]

    def describe(self) -> dict[str, int]:
        """What was counted, for /healthz and metrics. In jobs, but for `spans_left_out`."""
        return {
            "sampled": self.sampled,
            "kept_for_an_error": self.failed,
            "kept_as_slow": self.slow,
            "left_out": self.left_out,
            "spans_left_out": self.spans_left_out,
        }

    def _none(self, spans: Sequence[SpanDraft]) -> Sequence[SpanDraft]:
        self.left_out += 1
        self.spans_left_out += len(spans)
        return ()

    def _stage(self, whole: SpanDraft) -> "tuple[Stage | None, float]":
        """Among which durations it counts, and its own in seconds."""
        if whole.end is None or (whole.name not in self._stages and len(self._stages) >= MOST_STAGES):
            return None, 0.0
        stage = self._stages.get(whole.name)
        if stage is None:
            stage = self._stages[whole.name] = Stage()
        return stage, (whole.end - whole.start).total_seconds()


class Stage:
    """The last `WINDOW` durations of one stage, in seconds, and whether one more is above their 99th percentile."""

    def __init__(self, window: int = WINDOW) -> None:
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._unsorted: deque[float] = deque(maxlen=window)
        """Those since somebody asked: where all is sampled nobody does, and nothing is sorted."""
        self._window = window

    def seen(self, seconds: float) -> None:
        """It counts for those after it."""
        self._unsorted.append(seconds)

    def is_slow(self, seconds: float) -> bool:
        """Whether it is longer than all but the slowest of those before it. It counts for those after it."""
        while self._unsorted:
            self._sort_in(self._unsorted.popleft())
        known = len(self._sorted)
        slow = known >= LEAST and seconds > self._sorted[int(known * (1 - SLOWEST)) - 1]
        self._sort_in(seconds)
        return slow

    def _sort_in(self, seconds: float) -> None:
        if len(self._recent) >= self._window:
            del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
        self._recent.append(seconds)
        insort(self._sorted, seconds)
