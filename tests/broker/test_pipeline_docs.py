"""What `docs/integration.md` tells people to type does what it says."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stranger import Stranger, installation

PAGE = (Path(__file__).parents[2] / "docs" / "integration.md").read_text()
BLOCKS = [
    (title, language, code)
    for title, language, code in re.findall(r"## ([^\n]+)\n(?:(?!\n## ).)*?```(\w+)\n(.*?)```", PAGE, re.DOTALL)
]
PYTHON = {title: code for title, language, code in BLOCKS if language == "python"}
SHELL = {title: code for title, language, code in BLOCKS if language == "sh"}
JAVA = {title: code for title, language, code in BLOCKS if language == "java"}


@pytest.fixture(scope="module")
def novix(broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with installation(broker.bootstrap, tmp_path_factory.mktemp("docs")) as stranger:
        yield stranger


def here(code: str, novix: Stranger) -> str:
    """The code with this installation's address and topics."""
    assert "read_committed" in code or "from novix import Client" in code
    return code.replace("127.0.0.1:9092", novix.bootstrap).replace("inference.", novix.named("inference."))


def run(command: list[str], novix: Stranger, folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **novix.system.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_all_the_clients():
    assert set(PYTHON) == {"aiokafka", "confluent-kafka", "The Python client"}
    assert set(SHELL) == {"kcat", "CloudEvents"}
    assert set(JAVA) == {"Java"}
    assert PAGE.count("read_committed") >= 7


@pytest.mark.parametrize("title", sorted(PYTHON))
def test_the_python_programs_get_their_result(novix: Stranger, tmp_path: Path, title: str):
    (tmp_path / "program.py").write_text(here(PYTHON[title], novix))

    assert run([sys.executable, "program.py"], novix, tmp_path).startswith("succeeded ")


@pytest.mark.parametrize(("title", "job_id"), [("kcat", "kcat-1"), ("CloudEvents", "kcat-event")])
def test_the_kcat_lines_get_their_result(novix: Stranger, tmp_path: Path, title: str, job_id: str):
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not on PATH: the kcat lines of docs/integration.md were not run")
    (tmp_path / "lines.sh").write_text("set -eu\n" + here(SHELL[title], novix))

    told = run(["bash", "lines.sh"], novix, tmp_path)

    assert re.search(rf'^default/{job_id} .*"status":"succeeded"', told, re.MULTILINE)


def test_the_java_program_gets_its_result(novix: Stranger, tmp_path: Path):
    """`java Ask.java` compiles in memory, where the Java on PATH has a compiler; the broker brings the client's jar."""
    jars = sorted(novix.system.settings.cache.glob("kafka-*/kafka-clients-*.jar"))
    java = shutil.which("java")
    modules = (
        subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False).stdout if java else ""
    )
    if not jars or "jdk.compiler" not in modules:
        pytest.skip(
            "no Java with a compiler, or no broker of ours: the Java program of docs/integration.md was not run"
        )
    (tmp_path / "Ask.java").write_text(here(JAVA["Java"], novix))

    told = run([str(java), "-Xmx64m", "-cp", f"{jars[-1].parent}/*", "Ask.java"], novix, tmp_path)

    assert '"status":"succeeded"' in told
