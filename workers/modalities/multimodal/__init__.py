"""Several kinds of input at once: one file a task."""
