"""Novix on a simulated Kafka and a simulated provider, in virtual time: one seed is one schedule.

`make simulate SEEDS=1000`, or `python -m simulation --seeds 1000` with `tests/support` and the root on PYTHONPATH.
"""
