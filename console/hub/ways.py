"""Ways to ask a model without this page: command lines and programs to copy, whole and quoted. Pure.

What they say is run by `tests/broker/test_pages_hub_ways.py` as it stands on the page.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.settings import Settings
from schemas.topics import JOBS, RESULTS


@dataclass(frozen=True, slots=True)
class Way:
    """One way in."""

    name: str
    title: str
    code: str
    note: str = ""


def ways(settings: Settings, job: Mapping[str, Any], origin: str) -> tuple[Way, ...]:
    """How to publish `job` (without its id) and get its result, with kcat, Python and curl."""
    return (_kcat(settings, job), _python(job), _curl(job, origin))


def _kcat(settings: Settings, job: Mapping[str, Any]) -> Way:
    tenant = str(job["tenant"])
    text = json.dumps({"id": "my-job-1", **job})
    broker = shlex.quote(settings.kafka_bootstrap)
    jobs, results = (shlex.quote(settings.named(topic.name)) for topic in (JOBS, RESULTS))
    secured = settings.kafka_security_protocol != "PLAINTEXT"
    security = f" -X security.protocol={settings.kafka_security_protocol}" if secured else ""
    code = (
        f"printf '%s\\n' {shlex.quote(text)} |\n"
        f"  kcat -P -b {broker}{security} -t {jobs} -k {shlex.quote(tenant)} -X partitioner=murmur2_random -X acks=all "
        "-H novix-schema=1\n"
        f"until kcat -C -b {broker}{security} -t {results} -X isolation.level=read_committed -o beginning -e -q "
        "-f '%k %s\\n' |\n"
        f"  grep -F {shlex.quote(f'{tenant}/my-job-1 ')}; do sleep 0.5; done"
    )
    note = "An id is done once: take a new one for each job."
    if secured:
        note += " Add your user's -X sasl.username=... and -X sasl.password=... to both lines."
    return Way("kcat", "kcat", code, note)


def _python(job: Mapping[str, Any]) -> Way:
    code = f"""import asyncio

from novix import Client

JOB = {dict(job)!r}


async def main() -> None:
    async with Client() as client:
        result = await client.run(JOB, timeout=120)
        print(result["status"], result["cost_nanousd"], result["output"])


asyncio.run(main())"""
    return Way("python", "Python", code, "Finds Kafka as every novix command does: NOVIX_KAFKA_BOOTSTRAP, or novix up.")


def _curl(job: Mapping[str, Any], origin: str) -> Way:
    code = (
        'curl -sS --fail-with-body -X POST -H "Authorization: Bearer $NOVIX_CONSOLE_TOKEN" -H \'content-type: '
        f"application/json' \\\n  --data-binary {shlex.quote(json.dumps(dict(job)))} \\\n"
        f"  {shlex.quote(f'{origin}/api/hub/jobs?wait=60')}"
    )
    note = "Wants a console with a token (NOVIX_CONSOLE_TOKEN): without one, orders are taken from its own pages only."
    return Way("curl", "curl", code, note)
