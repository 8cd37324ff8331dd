"""One job's story in words: what is known of it (`gather`, or the explorer's index), told as lines or as sentences."""

from console.telling.indexed import tell_from_index
from console.telling.story import tell

__all__ = ["tell", "tell_from_index"]
