"""Novix beside what people would pick instead: the same jobs, Kafka and provider, in turns within one run."""
