"""Audio: one file a task."""

from workers.modalities.audio import classification

__all__ = ["classification"]
