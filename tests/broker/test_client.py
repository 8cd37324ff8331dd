"""The Python client against a running installation, in this program and in one with packages of the same names."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import Stranger, installation
from system import chat

from novix import Client, Connection, JobNotPublished, NoResult

STALLED = "google/gemma-4-31B-it"


@pytest.fixture(scope="module")
def stranger(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with installation(broker.bootstrap, tmp_path_factory.mktemp("client")) as stranger:
        yield stranger


@pytest.fixture
def connection(stranger: Stranger) -> Connection:
    return Connection(stranger.bootstrap, prefix=stranger.system.settings.topic_prefix)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test has."""
    return f"team-{uuid.uuid4().hex[:8]}"


async def test_run_publishes_and_gives_the_result_whatever_its_status(connection: Connection, tenant: str):
    async with Client(connection) as client:
        good, refused = await asyncio.gather(
            client.run(chat("good", tenant), timeout=60),
            client.run(chat("refused", tenant, max_cost_nanousd=1), timeout=60),
        )

    assert (good["job_id"], good["status"]) == ("good", "succeeded")
    assert refused["error"]["kind"] == "price_ceiling"


async def test_many_run_at_once_each_with_its_own_result(connection: Connection, tenant: str):
    async with Client(connection) as client:
        results = await asyncio.gather(*(client.run(chat(f"job-{n}", tenant), timeout=60) for n in range(50)))

    assert [result["job_id"] for result in results] == [f"job-{n}" for n in range(50)]


async def test_an_id_that_ran_before_gives_the_result_it_had(stranger: Stranger, connection: Connection, tenant: str):
    async with Client(connection) as client:
        first = await client.run(chat("again", tenant), timeout=60)
        same_client = await client.run(chat("again", tenant), timeout=60)
    async with Client(connection) as client:
        other_client = await client.run(chat("again", tenant), timeout=60)

    assert first == same_client == other_client
    assert stranger.system.calls()[f"{tenant}/again"] == 1


async def test_a_rejected_id_that_is_mended_gives_the_new_result(connection: Connection, tenant: str):
    async with Client(connection) as client:
        refused = await client.run(chat("mend", tenant, max_cost_nanousd=1), timeout=60)
        mended = await client.run(chat("mend", tenant), timeout=60)

    assert [(one["status"], one["submission"]) for one in (refused, mended)] == [("rejected", 1), ("succeeded", 2)]


async def test_a_job_without_an_id_gets_one(connection: Connection, tenant: str):
    job = chat("", tenant)
    del job["id"]
    async with Client(connection) as client:
        first, second = await client.run(job, timeout=60), await client.run(job, timeout=60)

    assert first["job_id"] != second["job_id"]


async def test_no_result_in_time_is_an_error_of_its_own_and_the_job_goes_on(
    stranger: Stranger, connection: Connection, tenant: str
):
    stranger.system.stub("/admin/behave", {"model": STALLED, "delay_ms": 2_000})
    async with Client(connection) as client:
        with pytest.raises(NoResult):
            await client.run(chat("patience", tenant, model=STALLED), timeout=0.5)

    assert stranger.result("patience", tenant)["status"] == "succeeded"


async def test_results_reads_what_is_there_and_follows_what_comes(connection: Connection, tenant: str):
    async with Client(connection) as client:
        await client.run(chat("first", tenant), timeout=60)
        present = [result["job_id"] async for result in client.results(follow=False) if result["tenant"] == tenant]
        assert present == ["first"]

        followed: list[str] = []
        await client.publish(chat("second", tenant))
        async with asyncio.timeout(60):
            async for result in client.results():
                if result["tenant"] == tenant:
                    followed.append(result["job_id"])
                if len(followed) == 2:
                    break
        assert sorted(followed) == ["first", "second"]


async def test_headers_travel_and_name_the_trace(connection: Connection, tenant: str):
    trace_id = uuid.uuid4().hex
    async with Client(connection) as client:
        await client.publish(chat("traced", tenant), headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
        result = await client.run(chat("traced", tenant), timeout=60)

    assert result["trace_id"] == trace_id


async def test_a_kafka_that_is_not_there_is_told():
    async with Client(Connection("127.0.0.1:1")) as client:
        with pytest.raises(JobNotPublished):
            await client.publish(chat("nobody"))
        with pytest.raises(JobNotPublished):
            await client.run(chat("nobody"), timeout=30)


async def test_topics_that_are_not_there_are_no_reason_to_wait_for_ever(connection: Connection):
    async with Client(Connection(connection.bootstrap, prefix=f"none-{uuid.uuid4().hex[:8]}.")) as client:
        with pytest.raises(NoResult):
            await client.run(chat("nobody"), timeout=0.5)


def test_it_works_in_a_program_that_has_its_own_schemas_and_workers(stranger: Stranger, tenant: str, tmp_path: Path):
    """The program's packages come first on the path, and are its own."""
    for package in ("schemas", "workers", "runtime", "router", "console", "sandbox"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("MINE = True\n")
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            f"""
            import asyncio, json
            import console, router, runtime, sandbox, schemas, workers
            from novix import Client

            async def main():
                assert all(one.MINE for one in (console, router, runtime, sandbox, schemas, workers))
                async with Client() as client:
                    print(json.dumps(await client.run({chat("own", tenant)!r}, timeout=60)))

            asyncio.run(main())
            """
        )
    )
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env={**os.environ, **stranger.system.environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "succeeded"
