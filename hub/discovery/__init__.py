"""Discovery: one form of a search in, one form of an answer out."""
