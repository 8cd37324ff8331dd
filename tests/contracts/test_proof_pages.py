"""What is published as proof says nothing that its raw file does not hold."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.peers import page as peers
from bench.peers.competitors import LOOP, NOVIX, PYTHON, WORKER_ALONE
from bench.proof import FOLDER, Origin
from bench.soak import page as soak
from bench.soak.sampling import Look, Samples

BETWEEN = Path(peers.__file__).with_name("between.md").read_text(encoding="utf-8")
ORIGIN = Origin(
    "2 x some CPU", 8.0, "6.1", "0123456789ab", "2026-11-22 18:00 UTC", "python -m bench ...", 0.1, {"x": "1"}
)


def rounds(**cpu_us: list[list[float]]) -> list[dict]:
    """Speed rows: process by process, round by round."""
    return [
        {"measure": "speed", "round": number, "competitor": name, "jobs_s": 900.0, "most_jobs_s": 950.0, "cpu_us": one,
         "peak_mb": [100.0] * len(one)}
        for name, rows in cpu_us.items()
        for number, one in enumerate(rows)
    ]  # fmt: skip


def measured(rows: list[dict], absent: dict[str, str] | None = None) -> peers.Told:
    """A run of which these rows came."""
    return peers.Told(ORIGIN, PYTHON, absent or {}, rows, quick=False, between="Words of people.")


def row_of(page: str, name: str) -> list[str]:
    """The cells of a table's row that begins so."""
    [line] = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


# peers


def test_ratios_are_of_the_same_round_so_that_a_busy_machine_weighs_on_both():
    """In the second round everything costs twice as much: the ratio stays."""
    page = peers.page(measured(rounds(**{NOVIX: [[100, 300], [200, 600]], LOOP: [[200], [400]]})))

    assert row_of(page, "router and worker against the loop, CPU a job")[1:] == ["at most 2.5 times", "2.00", "reached"]


def test_a_figure_that_is_not_reached_is_called_missed():
    page = peers.page(measured(rounds(**{WORKER_ALONE: [[500], [700], [600]], LOOP: [[200], [200], [200]]})))

    assert row_of(page, "worker alone against the loop")[2:] == ["3.00 (2.50 to 3.50)", "**missed** by 67%"]


def test_what_failed_or_was_not_here_is_told_and_counts_nowhere():
    failed = {"measure": "speed", "round": 0, "competitor": LOOP, "error": "TimeoutError: 3 of 4,000 results in 180 s"}

    page = peers.page(measured([failed], absent={"Parallel Consumer (JVM)": "no compiler"}))

    assert row_of(page, LOOP)[2] == "not measured"
    assert "- speed 1, plain aiokafka loop, aiohttp: TimeoutError: 3 of 4,000 results in 180 s" in page
    assert row_of(page, "Parallel Consumer (JVM)")[1] == "not run: no compiler"


def test_the_page_of_the_peers_is_made_again_from_its_file():
    told = measured(rounds(**{NOVIX: [[100, 300]], LOOP: [[200]]}))

    stored = json.loads(json.dumps(peers.document(told)))

    assert peers.page(peers.read(stored, told.between)) == peers.page(told)


# soak


def soaked(**changed) -> soak.Told:
    """Half an hour in which a process that is spared grows by 60 MB an hour and another is killed once."""
    times = range(0, 1800, 3)
    looks = {
        "worker spared": [Look(float(at), 1, 100 + at / 60, 40, 8, 3) for at in times],
        "worker-0": [Look(float(at), 2 + (at > 900), 100.0, 40, 8, None) for at in times],
    }
    samples = Samples(looks, [(float(at), {"router": 5}) for at in times], blind=1)
    verdict = {"jobs": 20, "lost": 0, "doubled": 0, "repeated": 1, "ambiguous": 1, "complaints": []}
    told = {
        "origin": ORIGIN, "seed": 1, "length_s": 1800.0, "rate": 12.0, "samples": samples, "spared": ["worker spared"],
        "faults": [(900.0, "+3.0 s kill of worker-0")], "verdict": verdict, "statuses": {"succeeded": 20}, "strays": [],
    }  # fmt: skip
    return soak.Told(**{**told, **changed})


def test_a_run_in_which_something_grows_has_not_passed():
    told = soaked()

    assert not told.passed
    assert row_of(soak.page(told), "worker spared | memory, MB")[4] == "grows"
    assert row_of(soak.page(told), "worker spared | threads")[4] == "does not grow"


@pytest.mark.parametrize("fault", [{"strays": ["worker-1 ended with 1"]}, {"complaints": ["1 lost"]}])
def test_a_run_that_somebody_complains_of_has_not_passed(fault):
    calm = Samples({"worker spared": [Look(float(at), 1, 100.0, 40, 8, 3) for at in range(0, 1800, 3)]})
    assert soaked(samples=calm).passed

    verdict = {**soaked().verdict, "complaints": fault.get("complaints", [])}
    told = soaked(samples=calm, verdict=verdict, strays=fault.get("strays", []))

    assert not told.passed
    assert "**NOT passed**" in soak.page(told)


def test_the_picture_is_well_formed_and_shows_each_restart_and_fault():
    drawing = ET.fromstring(soak.drawing(soaked()))  # noqa: S314 - our own

    space = "{http://www.w3.org/2000/svg}"
    panels_with_it = 3  # memory, descriptors, threads; it does not say how many records it has
    assert len(drawing.findall(f"{space}path")) == panels_with_it
    assert len([line for line in drawing.findall(f"{space}line") if line.get("class") == "fault"]) == 1


def test_the_page_of_the_soak_is_made_again_from_its_file():
    told = soak.read(soak.document(soaked()))

    again = soak.read(json.loads(json.dumps(soak.document(told))))

    assert (soak.page(again), soak.drawing(again)) == (soak.page(told), soak.drawing(told))


# what is published


@pytest.mark.parametrize("name", ["peers", "soak"])
def test_a_published_page_is_the_one_that_its_file_makes(name):
    """A number in it that no run has measured would not come out again."""
    stored, published = FOLDER / f"{name}.json", FOLDER / f"{name}.md"
    assert stored.exists() == published.exists()
    if not stored.exists():
        pytest.skip(f"docs/proof/{name}.md is not published yet")
    document = json.loads(stored.read_text(encoding="utf-8"))
    made = peers.page(peers.read(document, BETWEEN)) if name == "peers" else soak.page(soak.read(document))

    assert published.read_text(encoding="utf-8") == made
    assert re.fullmatch(r"[0-9a-f]{12}(\+changes)?", document["origin"]["commit"])
    if name == "soak":
        assert (FOLDER / "soak.svg").read_text(encoding="utf-8") == soak.drawing(soak.read(document))
