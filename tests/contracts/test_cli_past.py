"""`novix replay`, `whatif`, `tune`, `regret`, `savings`, `roi`, `value`: what they say of a log, and how they end."""

import json
import random
from datetime import timedelta

import pytest
from console_world import MemoryLog
from past_world import BEGAN, PARTITIONS, PastWorld
from rulings import HARD, SMALL

from router.whatif.past import repriced
from schemas.topics import DECISIONS, JOBS, POLICIES

ALL = ("--since", "2026-11-22T00:00:00Z")


def chat(number, text="Hi", **more):
    task_input = {"messages": [{"role": "user", "content": text}]}
    return {"id": f"j{number}", "task": "chat-completion", "input": task_input, **more}


@pytest.fixture
def world(log):
    """Twelve jobs of two tenants, done and paid for, on the log behind every command."""
    past, dice = PastWorld(), random.Random(3)
    log.partitions = PARTITIONS
    log.records = past.records
    for number in range(12):
        if number == 6:
            past.price("hf-inference", SMALL, price={"output_nanousd_per_million_tokens": 40_000_000})
        more = {"metadata": {"project": "x"}} if number % 2 else {}
        job = chat(number, dice.choice(["Hi", HARD]), tenant=("acme", "globex")[number % 2], **more)
        arrival, ruling, _ = past.decide(job)
        usage = {"input_tokens": 9, "output_tokens": 100, "calls": 1, "compute_ms": 2_000}
        past.served(arrival, ruling, usage=usage, ms=300, paid=repriced(ruling.candidates[0].price, usage))
        past.turn(minutes=5)
    return past


def answer(done, code=0):
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def spoiled(world, old, new):
    """A decision of the log says something else than was decided."""
    place = next(place for place in world.records if place[0] == DECISIONS.name)
    record = world.records[place][0]
    value = record.value.replace(old, new, 1)
    assert value != record.value
    world.records[place][0] = type(record)(
        record.topic, record.partition, record.offset, record.key, value, record.headers, record.timestamp_ms
    )


def test_replay_finds_no_difference_in_what_the_router_wrote(novix, world):
    told = answer(novix("replay", *ALL, "--json"))
    assert (told["decisions"], told["same"], told["different"]) == (12, 12, 0)
    assert told["not_decided_again"] == {}
    assert "12 decisions: 12 the same byte for byte, no difference" in novix("replay", *ALL).stdout


def test_replay_names_the_decision_and_the_field_that_differ_and_fails(novix, world):
    spoiled(world, b'"bound_by":null', b'"bound_by":"cap"')
    done = novix("replay", *ALL)
    assert done.exit_code == 1
    assert "differs: acme/j0 (submission 1): bound_by" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'"decision_id":"', b'"decision_id":"0', "decision_id"),
        (b'"decided_at":"2026-11-22T12:00:00.000700Z"', b'"decided_at":"2026-11-22T12:00:00"', "decided_at"),
        (b'"decided_at":', b'"decided":', "decided_at"),
        (b'"received":{', b'"received":[],"was":{', "received"),
        (b'"partition":', b'"partition":[],"was":', "received"),
        (b'"offset":', b'"offset":7000000000000000,"was":', "received"),
    ],
)
def test_replay_finds_a_decision_whose_names_or_times_were_changed(novix, world, old, new, field):
    """It does not fall out of the span, is not taken for one whose job is gone, and stops no replay."""
    spoiled(world, old, new)
    told = answer(novix("replay", *ALL, "--json"), code=1)
    assert (told["decisions"], told["same"], told["not_decided_again"]) == (12, 11, {})
    assert field in told["differences"][0]["fields"]
    for name in ("regret", "savings", "roi"):
        assert novix(name, *ALL).exit_code == 0


def test_replay_tells_a_record_that_is_no_batch(novix, world):
    spoiled(world, b'"decisions":[', b'"decisons":[')
    told = answer(novix("replay", *ALL, "--json"))
    assert told["not_decided_again"] == {"a record that is no batch of decisions": 1}


def test_a_span_that_ends_before_it_begins_is_refused(novix, world):
    done = novix("replay", "--since", "1h", "--until", "2h")
    assert done.exit_code == 2
    assert "--until" in done.output


def test_replay_looks_at_the_span_and_the_tenant_that_are_named(novix, world):
    later = (BEGAN + timedelta(minutes=29)).isoformat()
    assert answer(novix("replay", "--since", later, "--json"))["decisions"] == 6
    assert answer(novix("replay", *ALL, "--until", later, "--tenant", "acme", "--json"))["same"] == 3
    assert novix("replay", "--since", "yesterday").exit_code == 2


def test_replay_says_whose_jobs_are_gone(novix, world):
    for place in [place for place in world.records if place[0] == JOBS.name]:
        world.records[place] = []
    told = answer(novix("replay", *ALL, "--json"))
    assert told["not_decided_again"] == {"its job's record is gone by retention": 12}


def test_whatif_tells_saving_and_moves_of_a_policy_file(novix, world, tmp_path):
    (tmp_path / "new.yaml").write_text("policy: brief/1\nparameters: {cheap_below: 1.0}\n")
    told = answer(novix("whatif", "--policy", "new.yaml", *ALL, "--json"))
    assert told["jobs"] == 12
    assert told["fates"]["moved"] > 0
    assert told["saved_nanousd"] == told["paid_nanousd"] - told["would_nanousd"] > 0
    assert {row["tenant"] for row in told["by"]} == {"acme", "globex"}
    assert sum(row["saved_nanousd"] for row in told["by"]) == told["saved_nanousd"]
    assert "less" in novix("whatif", "--policy", "new.yaml", *ALL).stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("policy: brief/1\nparameters: {cheap_bellow: 1.0}\n", "new.yaml:2"),
        ("policy: nobody/1\n", "new.yaml:1"),
        ("policy: [", "new.yaml:"),
    ],
)
def test_whatif_refuses_a_wrong_policy_file_with_its_line(novix, world, tmp_path, content, named):
    (tmp_path / "new.yaml").write_text(content)
    done = novix("whatif", "--policy", "new.yaml", *ALL)
    assert done.exit_code == 2
    assert named in done.output


def test_whatif_goes_by_the_numbers_of_the_installation_that_decided(novix, log, tmp_path):
    """What a policy file leaves open is not filled in with this machine's settings."""
    past = PastWorld(cheap_below=1.0)
    log.partitions = PARTITIONS
    log.records = past.records
    for number in range(4):
        past.decide(chat(number, HARD))
    (tmp_path / "new.yaml").write_text("policy: brief/1\n")
    told = answer(novix("whatif", "--policy", "new.yaml", *ALL, "--json"))
    assert told["fates"] == {"same": 4}
    assert told["without_result"] == 4


def test_whatif_takes_other_prices(novix, world, tmp_path):
    rows = [{"provider": "hf-inference", "model": SMALL, "price": {"nanousd_per_call": 77}}]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    told = answer(novix("whatif", "--prices", "p.json", *ALL, "--tenant", "acme", "--json"))
    assert told["jobs"] == 6
    rows[0]["price"] = {"nanousd_per_cal": 77}
    (tmp_path / "p.json").write_text(json.dumps(rows))
    done = novix("whatif", "--prices", "p.json", *ALL)
    assert done.exit_code == 2
    assert "entry 0: price.nanousd_per_cal" in done.output
    assert novix("whatif", *ALL).exit_code == 2


def test_tune_proposes_a_threshold_within_the_budget_or_says_that_none_is(novix, world):
    told = answer(novix("tune", "--budget", "5.00", *ALL, "--json"))
    assert told["value"] is not None
    assert len(told["tried"]) == 21
    poor = answer(novix("tune", "--budget", "0.000000001", *ALL, "--json"), code=3)
    assert poor["value"] is None
    assert novix("tune", "--budget", "-1", *ALL).exit_code == 2
    assert novix("tune", "--budget", "5", "--since", "2027-01-01T00:00:00Z").exit_code == 3


def test_regret_tells_what_was_paid_and_what_the_cheapest_was(novix, world):
    told = answer(novix("regret", *ALL, "--json"))
    assert told["jobs"] == 12
    assert told["regret_nanousd"] == told["paid_nanousd"] - told["cheapest_nanousd"] > 0
    assert "the cheapest feasible was" in novix("regret", *ALL).stdout


def test_savings_are_advised_from_data_alone(novix, world):
    told = answer(novix("savings", *ALL, "--json"))
    assert told["jobs"] == 12
    assert all(line["saved_nanousd"] or line["freed_nanousd"] for line in told["advice"])
    assert "nothing to advise" in novix("savings", "--since", "2027-01-01T00:00:00Z").stdout


def test_return_needs_values_and_values_are_told_with_novix_value(novix, world):
    assert "no value data" in novix("roi", *ALL).stdout
    assert answer(novix("roi", *ALL, "--json"))["value_data"] is False

    assert novix("value", "j0", "0.05", "--tenant", "acme").exit_code == 0
    assert novix("value", "*", "1", "--tenant", "globex", "--tag", "project=x").exit_code == 0

    told = answer(novix("roi", *ALL, "--json"))
    one, tag = told["lines"]
    assert (one["of"], one["jobs"], one["value_nanousd"]) == ("job j0", 1, 50_000_000)
    assert (tag["of"], tag["jobs"]) == ("tag project=x", 6)
    cost = one["cost_nanousd"] + tag["cost_nanousd"]
    assert told["whole"]["roi"] == pytest.approx((1_050_000_000 - cost) / cost)
    assert len(world.records[POLICIES.name, 0]) == 2


@pytest.mark.parametrize("worth", ["-1", "1e30", "NaN", "0.0000000001", "five"])
def test_an_impossible_value_is_refused_before_anything_is_written(novix, world, worth):
    assert novix("value", "j0", "--", worth).exit_code == 2
    assert (POLICIES.name, 0) not in world.records


def test_no_prompt_is_told_by_any_of_them(novix, world):
    for name in ("replay", "regret", "savings", "roi"):
        assert HARD[:20] not in novix(name, *ALL).output + novix(name, *ALL, "--json").output


def test_the_commands_of_the_past_work_on_an_empty_log(novix, log):
    assert isinstance(log, MemoryLog)
    for name in ("replay", "regret", "savings", "roi"):
        assert novix(name, *ALL).exit_code == 0
