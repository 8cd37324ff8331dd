"""Which partition a key belongs to: murmur2, the default partitioner of Java's client and of aiokafka."""

import functools

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, count: int) -> int:
    """The partition of `key` among `count`: `toPositive(murmur2(key)) % count`, as in Kafka's
    `org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey`."""
    return int(murmur2(key) & 0x7FFFFFFF) % count


@functools.lru_cache(maxsize=4096)
def home_partition(tenant: str, count: int) -> int:
    """The partition of the jobs topic where a tenant's jobs are decided: that of its name, UTF-8."""
    return partition_of(tenant.encode(), count)
