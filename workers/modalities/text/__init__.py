"""Text: one file a task."""

from workers.modalities.text import classification, zero_shot_classification

__all__ = ["classification", "zero_shot_classification"]
