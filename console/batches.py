"""Reading topics batch by batch (`runtime.batches`), under the name by which the console knows it."""

from runtime.batches import LEAVE_S, Arrived, Reading, Take, application

__all__ = ["LEAVE_S", "Arrived", "Reading", "Take", "application"]
