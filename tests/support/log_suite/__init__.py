"""What our adapters may believe of Kafka: one suite, for Apache Kafka and for the simulated one.

Each claim is a function of a `World`. `tests/broker/test_apache_kafka.py` checks them on Apache Kafka,
`tests/flows/test_simulated_kafka.py` on the simulation: where the two differ, the simulation is wrong.
"""

from log_suite import groups, readers, sharing, transactions
from log_suite.ground import CLAIMS, World, check

__all__ = ["CLAIMS", "World", "check", "groups", "readers", "sharing", "transactions"]
