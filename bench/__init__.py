"""Measurements that the documentation quotes. `make bench` runs them all and prints the machine."""
