"""The explorer's memory: what the topics tell of every job, in one SQLite file that can be thrown away."""
