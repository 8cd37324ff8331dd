"""What a model costs, how good it was and whether it may be used: from the topics, else unknown."""

import random
from datetime import timedelta

import pytest
from console_world import NOON
from known_records import LLAMA, fill, record, result, world_of

from console.hub.compared import shared_mix
from console.hub.observed import speed_of
from console.index.calls import Call
from hub.compare.mix import Mix, Used
from hub.discovery.known import Known
from schemas import codec
from schemas.catalog import CatalogEntry
from schemas.comparison import ComparisonCriteria
from schemas.evals import EvalRun, Score
from schemas.topics import BREAKERS, ENDPOINTS, EVALS, PRICES, REGISTRY, TOPICS


def price_event(provider, model, **price):
    told = {"source": "router", "as_of": "2026-11-22", **price}
    event = {"provider": provider, "model": model, "source": "router", "price": told, "valid_from": NOON.isoformat(),
             "seen_at": NOON.isoformat()}  # fmt: skip
    return codec.encode(event)


def test_costs_are_the_tenants_own_jobs_at_the_cheapest_offer_that_can_be_asked():
    """Two offers of a model that nobody here serves: 2 and 1 dollars a million; 10 tokens in and 5 out are 15,000 at
    the cheaper one. Its breaker opens: the dearer one is asked."""
    world = world_of()
    fold = world.folds[PRICES]
    for offset, (provider, each) in enumerate((("dear", 2_000_000_000), ("cheap", 1_000_000_000))):
        fold(record(PRICES, offset, price_event(provider, "org/m", input_nanousd_per_million_tokens=each,
                                                output_nanousd_per_million_tokens=each)))  # fmt: skip
    mix = Mix("acme", [Used("chat-completion", {"input_tokens": 10, "output_tokens": 5})])
    known = world.of("acme")

    told = known.costs("org/m", mix)
    assert (told.provider, told.nanousd.value) == ("cheap", 15_000)
    assert told.prices == dict.fromkeys(
        ("input_nanousd_per_million_tokens", "output_nanousd_per_million_tokens"), 1_000_000_000
    )
    assert {one.provider: (one.nanousd_per_mtok, one.live) for one in known.offers("org/m")} == {
        "dear": (2_000_000_000, True), "cheap": (1_000_000_000, True)
    }  # fmt: skip

    opened = {"provider": "cheap", "model": "org/m", "state": "open", "failures": 3, "at": NOON.isoformat(), "by": "w"}
    world.folds[BREAKERS](record(BREAKERS, 0, codec.encode(opened), b"cheap/org/m"))
    assert known.costs("org/m", mix).provider == "dear"
    assert {one.provider: one.live for one in known.offers("org/m")} == {"dear": True, "cheap": False}


def test_a_predicted_cost_is_told_with_how_far_such_predictions_were_from_what_was_paid(explored):
    """Three jobs of 15 units each at a thousand nano-dollars a unit were paid with 20,000: a quarter too little."""
    store, index = explored
    fill(store, *(result(n, model="org/m", cost=20_000) for n in range(3)), result(9, model="org/x", cost=7),
         result(8, model="org/m", cost=99_999, calls=2))  # fmt: skip
    world = world_of(index)
    each = {"input_nanousd_per_million_tokens": 10**9, "output_nanousd_per_million_tokens": 10**9}
    world.folds[PRICES](record(PRICES, 0, price_event("groq", "org/m", **each)))

    told = world.of("acme").costs("org/m", None)

    assert (told.off, told.off_n) == (-0.25, 3)
    assert (told.nanousd.value, told.nanousd.n) == (15_000, 5)


def test_an_offer_of_the_catalogue_whose_breaker_is_open_cannot_be_asked_now():
    world = world_of()
    [offer] = {one.provider: one for one in world.of("acme").offers(LLAMA)}.values()
    opened = {"provider": offer.provider, "model": LLAMA, "state": "open", "failures": 3, "at": NOON.isoformat(),
              "by": "w"}  # fmt: skip

    world.folds[BREAKERS](record(BREAKERS, 0, codec.encode(opened), b"x"))

    assert offer.live
    assert [one.live for one in world.of("acme").offers(LLAMA)] == [False]
    assert world.of("acme").costs(LLAMA, None).why_not == "none of its offers can be asked now"


def test_models_are_priced_for_the_jobs_of_the_tasks_that_all_of_them_do():
    """A tenant sends chats and classifications; one of the models only classifies."""

    class Both:
        def mix(self, _):
            jobs = [Used("chat-completion", {"input_tokens": 9}), Used("text-classification", {"input_tokens": 3})]
            return Mix("acme", jobs)

    world = world_of()
    world.observed = Both()
    both = CatalogEntry(id="org/both", tasks=("chat-completion", "text-classification"))
    one, none = CatalogEntry(id="org/one", task="text-classification"), CatalogEntry(id="org/none", task="translation")

    def tasks(*entries, **asked):
        criteria = ComparisonCriteria(models=("a",), tenant="acme", **asked)
        return [job.task for job in shared_mix(world, entries, criteria).jobs]

    assert tasks(both) == ["chat-completion", "text-classification"]
    assert tasks(both, one) == ["text-classification"]
    assert tasks(both, one, none) == []
    assert tasks(both, one, task="chat-completion") == ["chat-completion"]
    missing = shared_mix(world, [both, none], ComparisonCriteria(models=("a",), tenant="acme"))
    assert "no task in common" in missing.notes[0]


def test_without_a_price_the_cost_is_unknown_and_says_why():
    told = world_of().of("acme").costs("org/nobody", None)

    assert (told.nanousd, told.why_not) == (None, "no price of it is known")
    assert world_of().of(None).cost("org/nobody") is None


def test_compute_time_is_what_the_models_own_results_tell_and_not_the_time_of_a_call(explored):
    """A call took 40 ms, 4 of them computing: 4 are charged. Of a model that told nothing, nothing is known."""
    store, index = explored
    task = "text-classification"
    fill(
        store,
        result(1, model="org/m", call_ms=40, task=task, usage={"compute_ms": 3}, provider="hf-inference", cost=30),
        result(2, model="org/m", call_ms=40, task=task, usage={"compute_ms": 5}, provider="hf-inference", cost=50),
        result(3, model="org/m", call_ms=40, task=task, usage={"compute_ms": 900}, provider="elsewhere"),
        result(4, model="org/m", call_ms=40, task=task, usage={"input_tokens": 7}, provider="hf-inference"),
        result(5, model="org/silent", call_ms=40, task=task, usage={"input_tokens": 7}),
        result(6, model="org/moved", call_ms=40, task=task, usage={"compute_ms": 8}, provider="elsewhere"),
    )
    world = world_of(index)
    for offset, name in enumerate(("org/m", "org/silent", "org/moved", "org/other")):
        event = price_event("hf-inference", name, nanousd_per_compute_ms=10)
        world.folds[PRICES](record(PRICES, offset, event))
    mix = Mix("acme", [Used(task, {"compute_ms": 1}), Used(task, {"compute_ms": 3}, "org/m", 30)])
    told = world.of("acme").costs("org/m", mix)

    assert told.nanousd.value == 40
    assert (told.off, told.off_n) == (pytest.approx(1 / 3), 1)
    assert world.of("acme").costs("org/moved", mix).nanousd.value == 80
    for name in ("org/silent", "org/other"):
        told = world.of("acme").costs(name, mix)
        assert (told.nanousd, "no result of it tells" in told.why_not) == (None, True)


# Evaluations, rules, endpoints


def eval_run(model, value, *, hours=0, metric="accuracy", kind="eval", run_id="r", task="text-classification"):
    at = NOON + timedelta(hours=hours)
    score = Score(metric=metric, value=value, low=value, high=value, method="wilson", n=5)
    return EvalRun.model_validate({
        "run_id": run_id, "model": model, "task": task, "tenant": "t", "dataset": "d", "asked": 5, "answered": 5,
        "scores": (score,) if kind == "eval" else (), "started_at": at, "ended_at": at, "kind": kind,
        "jobs_per_s": 3.5, "machine": "2 x test",
    })  # fmt: skip


def test_quality_is_that_of_the_newest_evaluation_of_the_task():
    world = world_of()
    runs = [
        eval_run("org/m", 0.9, run_id="a"), eval_run("org/m", 0.7, hours=2, run_id="b"),
        eval_run("org/m", 0.2, metric="wer", task="automatic-speech-recognition", hours=1, run_id="c"),
        eval_run("org/m", 0.0, kind="bench", hours=9, run_id="d"),
    ]  # fmt: skip
    for offset, run in enumerate(runs):
        world.folds[EVALS](record(EVALS, offset, run.encode()))
    world.folds[EVALS](record(EVALS, 4, b"\xff garbage"))
    world.folds[EVALS](record(EVALS, 1, eval_run("org/m", 0.1, hours=20).encode()))  # folded before: changes nothing
    known = world.of("acme")

    assert known.quality("org/m", "text-classification") == 0.7
    assert known.quality("org/m", None) == 0.7
    assert known.quality("org/m", "automatic-speech-recognition") == pytest.approx(0.8)
    assert known.quality("org/m", "translation") is None
    assert known.quality("org/other", None) is None
    assert [run.run_id for run in known.runs("org/m")] == ["d", "b", "c", "a"]
    assert world.runs.unreadable == 1
    subject = known.subject(CatalogEntry(id="org/m"), Mix("t", []), None)
    assert (subject.performance.jobs_per_s, subject.performance.machine) == (3.5, "2 x test")


def test_what_nobody_has_ruled_is_unknown_and_a_withdrawal_is_no():
    world = world_of()
    assert world.of("acme").allowed("org/m", None) == (None, "")
    event = {"kind": "admission", "model": "org/m", "state": "withdrawn", "at": NOON.isoformat(), "reason": "leaks"}
    world.folds[REGISTRY](record(REGISTRY, 0, codec.encode({"event": event})))

    ok, why = world.of("acme").allowed("org/m", None)
    assert ok is False
    assert "withdrawn for everybody on 2026-11-22: leaks" in why
    assert world.of("acme").allowed("org/other", None) == (None, "")

    rules = {"kind": "rules", "admitted_only": True, "tenant": "strict", "at": NOON.isoformat()}
    world.folds[REGISTRY](record(REGISTRY, 1, codec.encode({"event": rules})))
    assert world.of("strict").allowed("org/other", None)[0] is False
    assert world.of("acme").allowed("org/other", "strict")[0] is False
    assert world.of("strict").allowed("org/other", "acme") == (None, "")


def test_what_cannot_be_read_on_a_topic_stops_nobody():
    world = world_of()
    for topic, fold in world.folds.items():
        for offset, value in enumerate((b"\xff", b"{}", b"[]", None, b'{"event": 5}')):
            fold(record(topic, offset, value, b"\xff/x"))

    assert world.of("acme").measured() >= {LLAMA}
    assert world.endpoints == {}
    assert set(world.folds) <= set(TOPICS)
    assert ENDPOINTS in world.folds


def test_it_answers_as_discovery_asks(explored):
    store, index = explored
    fill(store, result(1, model="org/m"))
    known: Known = world_of(index).of("acme")

    assert "org/m" in known.measured()
    assert known.latency("org/m").source == "observed"


def test_nine_of_ten_later_calls_lie_within_the_interval_that_was_told():
    """Two hundred models with calls of their own skewed times: 300 calls are seen, the next 100 are counted."""
    dice, inside, calls = random.Random(9), 0, 0
    for _ in range(200):
        middle, spread = dice.uniform(3, 8), dice.uniform(0.1, 1.2)
        times = [round(dice.lognormvariate(middle, spread)) for _ in range(400)]
        told = speed_of([Call(at, "p", 1, took, took, 0) for at, took in enumerate(times[:300])], 400).latency
        inside += sum(told.low <= took <= told.high for took in times[300:])
        calls += 100

    assert 0.88 <= inside / calls <= 0.93
