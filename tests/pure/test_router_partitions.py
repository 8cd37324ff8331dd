"""A tenant's home: the same partition that Java's producer picks for its name."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.partitions import home_partition, partition_of

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""murmur2 of org.apache.kafka.common.utils.UtilsTest, Apache Kafka (Apache-2.0)."""


@pytest.mark.parametrize(("key", "hashed"), JAVA.items())
def test_a_key_goes_where_java_sends_it(key: bytes, hashed: int) -> None:
    for count in (1, 6, 7, 1000):
        assert partition_of(key, count) == (hashed & 0x7FFFFFFF) % count


@settings(deadline=None)
@given(st.text(min_size=1, max_size=128), st.integers(1, 64))
def test_a_home_is_where_a_producer_with_the_default_partitioner_writes(tenant: str, count: int) -> None:
    partitions = list(range(count))
    try:
        key = tenant.encode()
    except UnicodeEncodeError:
        return
    assert home_partition(tenant, count) == DefaultPartitioner()(key, partitions, partitions)
