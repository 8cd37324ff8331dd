"""The repository keeps its own rules: lock, targets, compose, sizes, packages, and a client that lives anywhere."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from console.cli import app
from runtime.settings import Settings, variable
from sandbox.kafka.jars import KAFKA_VERSION
from schemas.topics import SPANS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
ROOMS: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
NOVIX_SERVICES = sorted(name for name, service in SERVICES.items() if service.get("image") == "novix:local")


def script(name: str) -> Any:
    """A script of `.ci` as a module."""
    spec = importlib.util.spec_from_file_location(f"ci_{name}", ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pins(text: str) -> dict[str, tuple[str, list[str]]]:
    """Name -> version and hashes of each entry of a lock."""
    joined = text.replace("\\\n", " ")
    lines = [line.split() for line in joined.splitlines() if line and not line.startswith("#")]
    return {line[0].split("==")[0]: (line[0].split("==")[1], line[1:]) for line in lines}


def asked() -> Iterator[Requirement]:
    """What pyproject.toml asks for, in all its extras."""
    project = PROJECT["project"]
    for line in [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]:
        yield Requirement(line)


# The lock


def test_every_package_in_the_lock_has_a_version_and_a_sha256() -> None:
    entries = pins(LOCK)
    assert len(entries) > 50
    for name, (version, hashes) in entries.items():
        assert version, name
        assert hashes, name
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name


def test_the_lock_names_no_registry() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", LOCK, re.MULTILINE)


def test_the_lock_has_all_that_pyproject_asks_for_in_versions_that_it_allows() -> None:
    entries = {canonicalize_name(name): version for name, (version, _) in pins(LOCK).items()}
    for requirement in asked():
        assert entries.get(canonicalize_name(requirement.name), "none") in requirement.specifier, requirement


def test_the_first_part_of_the_lock_is_what_runs_in_production() -> None:
    production = {canonicalize_name(name) for name in pins(LOCK.split("# part: build")[0])}
    wanted = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert wanted <= production
    assert not production & {"pytest", "mypy", "hatchling", "xllamacpp"}


def test_a_lock_entry_has_the_hashes_of_its_wheels_in_order_and_no_address() -> None:
    wheels = [{"url": "https://elsewhere/x.whl", "size": 3, "hashes": {"sha256": digit * 64}} for digit in "ba"]
    entry = script("lock").pin({"name": "x", "version": "1.2", "wheels": wheels})
    assert entry == f"x==1.2 \\\n    --hash=sha256:{'a' * 64} \\\n    --hash=sha256:{'b' * 64}\n"


# The tree


def test_every_tracked_file_can_be_read_and_names_no_machine_and_no_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout: the list of tracked files is not to be had")
    done = subprocess.run([sys.executable, ROOT / ".ci/tree.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "text", "told"),
    [
        ("runtime/engine.py", "x\n" * 401, "401 lines"),
        ("README.md", "see /" + "work/shared", "README.md:1"),
        ("Dockerfile", "\nRUN pip -i https://py" + "pi.org/simple", "Dockerfile:2"),
        ("docs/page.md", "from repo1.maven." + "org", "docs/page.md:1"),
    ],
)
def test_a_file_that_breaks_a_rule_of_the_tree_is_told_with_its_place(path: str, text: str, told: str) -> None:
    assert told in "".join(script("tree").faults(Path(path), text))


def test_data_and_files_of_others_may_be_long() -> None:
    tree = script("tree")
    for path in ("router/data/huggingface.json", "requirements.lock", "console/static/vendor/x.js", "LICENSE"):
        assert not list(tree.faults(Path(path), "x\n" * 1_000)), path


def test_every_room_is_typed_packaged_checked_and_known_to_the_import_contracts() -> None:
    typed = sorted(marker.parent.name for marker in ROOT.glob("*/py.typed"))
    assert sorted(ROOMS) == typed
    assert PROJECT["tool"]["mypy"]["packages"] == ROOMS
    assert PROJECT["tool"]["importlinter"]["root_packages"] == ROOMS


def test_what_the_rooms_import_is_declared_and_what_runs_in_production_is_imported() -> None:
    imported: set[str] = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    imported.add(node.module.split(".")[0])
    providers = packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in asked()}
    ours = imported - sys.stdlib_module_names - set(ROOMS)
    missing = {name for name in ours if not {canonicalize_name(one) for one in providers.get(name, [name])} & declared}
    assert not missing
    used = {canonicalize_name(one) for name in ours for one in providers.get(name, [name])}
    runtime = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert runtime - used <= {"cramjam", "tzdata"}, (
        "cramjam is loaded by aiokafka, for the codecs of its batches; tzdata by zoneinfo where there are no zones"
    )


# make


def test_make_alone_lists_every_target_and_each_is_documented() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    targets = phony[1].split()
    listed = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {"install", "demo", "test", "check", "bench", "docs", "clean", "lock"} <= set(targets)
    for target in targets:
        assert re.search(rf"^make {target} +\S", listed, re.MULTILINE), f"{target} has no ## text"


def test_an_old_python_is_refused_by_name_before_anything_is_made(tmp_path: Path) -> None:
    old = tmp_path / "python-of-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    ask = ["make", "install", f"PYTHON={old}"]
    done = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 3.9.1" in done.stderr
    assert not (tmp_path / ".venv").exists()


# Containers


def test_docker_compose_accepts_the_file() -> None:
    client = shutil.which("docker")
    ask = [client or "docker", "compose"]
    if client is None or subprocess.run([*ask, "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("docker compose is not on this machine: `docker compose config` did not look at compose.yaml")
    environment = {**os.environ, "HF_TOKEN": "unused"}
    done = subprocess.run(
        [*ask, "-f", str(ROOT / "compose.yaml"), "config", "--quiet"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_what_others_wait_for_in_compose_can_say_that_it_is_well() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}"


@pytest.mark.parametrize("name", NOVIX_SERVICES)
def test_the_command_of_a_compose_service_is_one_that_novix_has(name: str) -> None:
    done = CliRunner().invoke(app, [*SERVICES[name]["command"], "--help"])
    assert done.exit_code == 0, done.output


def test_every_setting_in_compose_exists() -> None:
    known = {variable(field) for field in Settings.model_fields}
    for name in NOVIX_SERVICES:
        assert set(SERVICES[name]["environment"]) <= known, name


def test_compose_runs_the_kafka_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


def test_the_collector_reads_the_span_topic_as_it_is_written() -> None:
    config = yaml.safe_load((ROOT / "docs/otel-collector.yaml").read_text())
    traces = config["receivers"]["kafka"]["traces"]
    assert traces["encoding"] == "otlp_proto"
    assert [re.sub(r"\$\{env:\w+:-(.+)\}", r"\1", topic) for topic in traces["topics"]] == [SPANS.name]
    assert config["service"]["pipelines"]["traces"]["receivers"] == ["kafka"]


def test_the_image_is_given_what_it_builds_from_and_nothing_else() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert ignored[0] == "**"
    assert {*ROOMS, "pyproject.toml", "requirements.lock", "README.md", "LICENSE"} <= let_in
    assert not let_in & {".env", ".git", ".novix", "tests"}


# The client


def test_the_client_works_in_a_program_that_has_its_own_schemas_and_workers(tmp_path: Path) -> None:
    for package in ("schemas", "workers"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(f"MINE = {package!r}\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "NOVIX_HOME": str(tmp_path), "NOVIX_KAFKA_BOOTSTRAP": "127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["schemas", "workers", "JobNotPublished"]


PROGRAM = """\
import asyncio
import sys
from pathlib import Path

import schemas
import workers
from novix import Client, JobNotPublished


async def main() -> None:
    print(schemas.MINE, workers.MINE)
    async with Client() as client:
        try:
            await client.publish({"task": "chat-completion", "input": {"messages": []}})
        except JobNotPublished as error:
            print(type(error).__name__)


asyncio.run(main())
rooms = {"runtime", "router", "console", "sandbox"} & set(sys.modules)
assert not rooms, rooms
assert Path(schemas.__file__).parent.parent == Path(__file__).resolve().parent
"""
