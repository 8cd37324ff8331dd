"""The table of topics."""

import re

import pytest

from schemas import tasks, topics
from schemas.base import Contract
from schemas.topics import MODALITY_TOPICS, TOPICS, Topic

EACH = pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)


@EACH
def test_a_name_is_legal_in_kafka_with_a_prefix_before_it_and_carries_its_version(topic: Topic):
    assert re.fullmatch(r"(inference|novix)\.[a-z0-9.]+\.v[0-9]+", topic.name)
    assert len(topic.name) < 100


def test_names_are_told_apart():
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


@EACH
def test_a_topic_says_its_key_what_it_carries_and_how_long(topic: Topic):
    assert topic.key
    assert topic.carries
    assert not topic.carries.endswith(".")
    assert topic.retention_ms >= topics.DAY_MS


@EACH
def test_settings_for_the_broker_are_texts_with_the_retention_and_the_record_limit(topic: Topic):
    assert topic.config["retention.ms"] == ("-1" if topic.kept else str(topic.retention_ms))
    assert int(topic.config["max.message.bytes"]) == topic.limit_bytes >= topics.RECORD_LIMIT_BYTES
    assert all(isinstance(value, str) for value in topic.config.values())


@EACH
def test_a_value_is_a_message_of_the_contract_or_bytes(topic: Topic):
    assert topic.value is None or issubclass(topic.value, Contract)


def test_only_the_topics_that_are_addressed_by_a_tenants_home_have_a_fixed_partition_count():
    assert {topic.name for topic in TOPICS if topic.home} == {
        "inference.jobs.v1", "inference.decisions.v1", "inference.ledger.v1", "novix.snapshots.v1",
    }  # fmt: skip


def test_dead_letters_and_audit_outlive_the_jobs_they_speak_of():
    assert min(topics.DLQ.retention_ms, topics.AUDIT.retention_ms) > topics.JOBS.retention_ms


def test_each_modality_with_a_topic_has_tasks_and_a_consumer_group_of_its_own():
    assert set(MODALITY_TOPICS) <= set(tasks.MODALITIES.values())
    groups = {topics.worker_group(modality) for modality in tasks.MODALITIES.values()} | {topics.ROUTER_GROUP}
    assert len(groups) == len(set(tasks.MODALITIES.values())) + 1
    assert topics.worker_group("text") == "novix-worker-text"


def test_a_modalitys_topic_is_named_after_it():
    assert all(topic.name == f"inference.{modality}.v1" for modality, topic in MODALITY_TOPICS.items())
