"""A real S3 server for tests: S3Proxy (Apache-2.0) with its blobs in memory, on a free port of this machine.

It checks AWS signatures (version 4) as Amazon does. One jar from Maven Central, pinned as the sandbox pins Kafka's.
"""

import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.fetch import FetchError, Say, check, default_cache, file_lock
from sandbox.kafka.java import find_java

GROUP, ARTIFACT, VERSION, CLASSIFIER = "org.gaul", "s3proxy", "2.7.0", "jar-with-dependencies"
SHA256 = "f3ff95bd78a7afbbcd5da56f8f6180ef71ad00601392f7e2f5a220c97ad69eef"
MEGABYTES = 42
START_S = 60.0
_LISTENS = re.compile(r"Started ServerConnector@\w+\{[^}]*\}\{127\.0\.0\.1:(\d+)\}")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server that answers."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What an AWS client finds its credentials by; it looks nowhere else."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",  # S3Proxy knows no trailing checksums
        }


def s3proxy_jar(say: Say) -> Path:
    """The pinned jar, from the cache or fetched into it. Raises `FetchError`."""
    cache = default_cache()
    path = cache / f"{ARTIFACT}-{VERSION}" / f"{ARTIFACT}-{VERSION}-{CLASSIFIER}.jar"
    with file_lock(cache / f".{path.parent.name}.lock"):
        if not path.exists():
            say(f"downloading S3Proxy {VERSION}: {MEGABYTES} MB")
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch(path)
    return check(path, SHA256)


def _fetch(path: Path) -> None:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise FetchError("fetching S3Proxy needs jgo, of the extra `sandbox`") from error
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=path.parent) as scratch:
        maven = MavenContext(repo_cache=Path(scratch), local_repos=[], timeout=60)
        try:
            found = maven.project(GROUP, ARTIFACT).at_version(VERSION).artifact(CLASSIFIER).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise FetchError(f"S3Proxy {VERSION} could not be fetched: {error}") from error
        check(Path(found), SHA256).rename(path)


@contextmanager
def s3_server(folder: Path, say: Say) -> Iterator[S3Server]:
    """S3Proxy for the length of the block. Raises `FetchError` where it, or a Java, cannot be had."""
    jar, java = s3proxy_jar(say), find_java(os.environ, cache=default_cache(), say=say).executable
    access_key, secret_key = f"AK{secrets.token_hex(8).upper()}", secrets.token_hex(20)
    settings = folder / "s3proxy.conf"
    settings.write_text(
        "s3proxy.endpoint=http://127.0.0.1:0\n"
        "s3proxy.authorization=aws-v4\n"
        f"s3proxy.identity={access_key}\ns3proxy.credential={secret_key}\n"
        "jclouds.provider=transient-nio2\njclouds.identity=none\njclouds.credential=none\n"
    )
    small = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx160m"]
    log = folder / "s3proxy.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(java), *small, "-jar", str(jar), "--properties", str(settings)], stdout=sink, stderr=sink
        )
    try:
        yield S3Server(f"http://127.0.0.1:{_port(process, log)}", access_key, secret_key)
    finally:
        process.kill()
        process.wait(10)


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        told = log.read_text(errors="replace")
        if (listens := _LISTENS.search(told)) and "Started Server@" in told:
            return int(listens[1])
        time.sleep(0.05)  # it tells nobody but its log
    raise FetchError(f"S3Proxy did not start: {log.read_text(errors='replace')[-500:]}")
