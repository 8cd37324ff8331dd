"""What a process counts and measures of itself, for Prometheus: `/metrics`."""

from runtime.metrics.registry import Metrics

__all__ = ["Metrics"]
