"""Image and video: one file a task."""

from workers.modalities.image import classification, zero_shot_classification

__all__ = ["classification", "zero_shot_classification"]
