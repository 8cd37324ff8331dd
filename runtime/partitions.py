"""Which partition a key belongs to: murmur2, the default partitioner of Java's client and of aiokafka."""

import functools
import struct

_SEED, _M, _32 = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF


def partition_of(key: bytes, count: int) -> int:
    """The partition of `key` among `count`: `toPositive(murmur2(key)) % count`, as in Kafka's
    `org.apache.kafka.clients.producer.internals.BuiltInPartitioner.partitionForKey`."""
    return (murmur2(key) & 0x7FFFFFFF) % count


@functools.lru_cache(maxsize=4096)
def home_partition(tenant: str, count: int) -> int:
    """The partition of the jobs topic where a tenant's jobs are decided: that of its name, UTF-8."""
    return partition_of(tenant.encode(), count)


@functools.lru_cache(maxsize=1024)
def _words(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}I")


def murmur2(data: bytes) -> int:
    """MurmurHash2 (Austin Appleby, public domain) with Kafka's seed, 32 bits: `Utils.murmur2` of Kafka's Java client.

    aiokafka's takes four times as long, as it puts each word together from its bytes.
    """
    size = len(data)
    words = _words(size // 4)
    h = _SEED ^ size
    for word in words.unpack_from(data):
        k = word * _M & _32
        h = (h * _M & _32) ^ ((k ^ k >> 24) * _M & _32)
    if rest := data[words.size :]:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _32
    h = (h ^ h >> 13) * _M & _32
    return h ^ h >> 15
