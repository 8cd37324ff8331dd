"""The simulated Kafka: one broker with what Apache Kafka was seen to do, in memory and virtual time.

Its methods are what a broker does with a request; clients reach them through `Network` (`SimBroker.network`).
"""

from simulation.kafka.broker import BrokerFaults, SimBroker
from simulation.kafka.group import Joined
from simulation.kafka.log import Fetched, Message, Part, SimRecord
from simulation.kafka.offsets import Commit

__all__ = ["BrokerFaults", "Commit", "Fetched", "Joined", "Message", "Part", "SimBroker", "SimRecord"]
