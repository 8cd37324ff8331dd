"""What Novix has measured of models, from the explorer's memory and the topics: fresh, bounded, else unknown."""

import random
from datetime import timedelta

import pytest
from console_world import NOON, Story, ms

from console.hub.compared import shared_mix
from console.hub.known import World
from console.hub.observed import MOST_KEPT, Observed, mix_of, speed_of
from console.index.calls import Call
from console.index.facts import facts_of
from console.index.reading import Index
from console.index.store import Store
from hub.compare.mix import Mix, Used
from hub.discovery.known import Known
from router.catalogue import load
from runtime.ports import Record
from runtime.settings import Settings
from schemas import codec
from schemas.catalog import CatalogEntry
from schemas.comparison import ComparisonCriteria
from schemas.evals import EvalRun, Score
from schemas.topics import BREAKERS, DECISIONS, ENDPOINTS, EVALS, PRICES, REGISTRY, RESULTS, TOPICS

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def result(number, *, model=LLAMA, provider="groq", call_ms=100, calls=1, cost=1_000, tenant="acme", status="succeeded",
           task="chat-completion", usage=None):  # fmt: skip
    """One job's result as a record of its topic, completed `number` seconds after noon."""
    story = Story(job_id=f"{model}-{number}", tenant=tenant, began=NOON + timedelta(seconds=number), offset=number)
    told = codec.decode(story.result.encode())
    document = {
        **told, "status": status, "task": task, "served": {"model": model, "provider": provider},
        "attempts": [told["attempts"][-1]] * calls, "cost_nanousd": cost,
        "timing_ms": {"total": call_ms + 50, "calling": call_ms},
        "usage": {"input_tokens": 10, "output_tokens": 5} if usage is None else usage,
    }  # fmt: skip
    if status != "succeeded":
        document["served"] = None
    return (RESULTS.name, 0, number, ms(NOON) + number * 1_000, codec.encode(document))


@pytest.fixture
def explored(tmp_path):
    """A store, an index over it, and an hour and a half past noon as the time."""
    store = Store(tmp_path / "x.sqlite", now_ms=lambda: ms(NOON))
    index = Index(tmp_path / "x.sqlite")
    yield store, index
    index.close()
    store.close()


def fill(store, *records):
    store.add([facts_of(*record) for record in records])


class Clock:
    """Turned by hand."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


def record(topic, offset, value, key=b""):
    return Record(topic.name, 0, offset, key, value, (), ms(NOON))


def world_of(index=None):
    return World(load(Settings()), index, now=lambda: NOON + timedelta(hours=1))


# Observed


def test_observed_latency_is_that_of_calls_of_jobs_that_needed_one_call(explored):
    """Ten calls of 100 to 1,000 ms at one provider; the three calls of an eleventh job tell nothing of one call."""
    store, index = explored
    fill(store, *(result(n, call_ms=100 * n) for n in range(1, 11)), result(11, call_ms=9_999, calls=3))

    told = Observed(index, now_ms=lambda: ms(NOON) + 3_600_000).speed(LLAMA)

    assert told.latency is not None
    assert (told.latency.value, told.latency.low, told.latency.high, told.latency.n) == (500, 100, 1_000, 10)
    assert (told.latency.source, told.latency.window_s) == ("observed", 3_598)  # from the first result's completion
    assert told.p95_ms == 1_000
    assert (told.paid.value, told.paid.n) == (1_000, 11)


def test_each_provider_has_its_own_latency():
    calls = [Call(5, name, 1, took, took, 7) for name, took in (("a", 10), ("a", 20), ("b", 90))]

    told = speed_of(calls, 5)

    assert {name: (one.value, one.n) for name, one in told.providers.items()} == {"a": (10, 2), "b": (90, 1)}


def test_of_a_model_that_served_nothing_nothing_is_known(explored):
    store, index = explored
    fill(store, result(1), result(2, status="failed"))
    known = world_of(index).of("acme")

    assert known.latency("org/never-asked") is None
    assert world_of(None).of("acme").latency(LLAMA) is None
    assert speed_of([Call(1, "p", 2, None, None, 0)], 5).latency is None


def test_a_new_result_is_seen_after_a_second_and_an_old_answer_is_given_before(explored):
    store, index = explored
    fill(store, result(1, call_ms=100))
    clock = Clock()
    observed = Observed(index, now_ms=lambda: ms(NOON) + 9_000, monotonic=clock)
    assert observed.speed(LLAMA).latency.n == 1

    fill(store, result(2, call_ms=300), result(3, model="org/new"))
    assert observed.speed(LLAMA).latency.n == 1
    clock.s = 1.0

    assert observed.speed(LLAMA).latency.n == 2
    assert observed.speed("org/new").latency.n == 1
    assert observed.models() == {LLAMA, "org/new"}


def test_models_that_nothing_was_written_of_are_not_read_again(explored):
    """One model's result comes every second; the other's calls are read once."""
    store, index = explored
    fill(store, result(1, model="org/busy"), result(2, model="org/quiet"))
    clock, read = Clock(), []

    class Counting:
        def __getattr__(self, name):
            return getattr(index, name)

        def calls(self, model, since_ms=0):
            read.append(model)
            return index.calls(model, since_ms)

    observed = Observed(Counting(), now_ms=lambda: ms(NOON) + 99_000, monotonic=clock)
    for number in range(5):
        assert observed.speed("org/busy").latency.n == number + 1
        assert observed.speed("org/quiet").latency.n == 1
        fill(store, result(10 + number, model="org/busy"))
        clock.s += 1.0

    assert (read.count("org/busy"), read.count("org/quiet")) == (5, 1)
    clock.s += 60.0
    observed.speed("org/quiet")
    assert read.count("org/quiet") == 2  # the window moved on


def test_only_the_newest_five_hundred_calls_of_seven_days_count(explored):
    store, index = explored
    fill(store, *(result(n, call_ms=1 if n < 100 else 50) for n in range(600)))

    assert index.calls(LLAMA)[0].ended_ms > index.calls(LLAMA)[-1].ended_ms
    assert Observed(index, now_ms=lambda: ms(NOON)).speed(LLAMA).latency.low == 50
    week = 7 * 24 * 3_600_000
    assert Observed(index, now_ms=lambda: ms(NOON) + week + 700_000).speed(LLAMA).latency is None
    assert index.use(LLAMA).jobs == 600


def test_so_many_models_are_remembered_and_no_more(explored):
    _, index = explored

    class Many:
        def changes(self):
            return 1

        def served_models(self):
            return [f"m{n}" for n in range(MOST_KEPT + 50)]

        def calls(self, model, since_ms=0):
            return [Call(ms(NOON), "p", 1, 5, 5, 5)]

        def calls_mark(self, model):
            return 1, 1

        def use(self, model):
            return index.use(model)

        def newest_results(self, tenant, since_ms=0):
            return []

    observed = Observed(Many(), now_ms=lambda: ms(NOON))
    for name in observed.models():
        observed.speed(name)
    for number in range(MOST_KEPT + 50):
        observed.mix(f"t{number}")

    assert (len(observed._speeds), len(observed._mixes)) == (MOST_KEPT, MOST_KEPT)


# A tenant's own mix


def test_a_tenants_mix_is_its_own_jobs_and_not_those_that_measured_models(explored):
    store, index = explored
    mine = [result(n, usage={"input_tokens": 100 + n, "output_tokens": 7, "odd": -1}) for n in range(3)]
    bench = Story(job_id="bench-1", tenant="acme", offset=70)
    decision = codec.decode(bench.records[1][4])
    decision["decisions"][0]["metadata"] = {"novix.run": "bench-1"}
    decided = (DECISIONS.name, bench.home, 70, ms(NOON), codec.encode(decision))
    fill(store, *mine, result(50, tenant="other"), decided, bench.records[3])

    mix = Observed(index, now_ms=lambda: ms(NOON) + 60_000).mix("acme")

    assert [job.units for job in mix.jobs] == [
        {"input_tokens": 100 + n, "output_tokens": 7} for n in (2, 1, 0)
    ]  # fmt: skip
    assert (mix.own, mix.told()["tasks"]) == (True, {"chat-completion": 3})
    assert index.newest_results("acme")[0]["output"] is None


def test_a_tenant_without_jobs_has_a_usual_one_that_says_so():
    for nothing in ([], [{"usage": 5, "task": "chat-completion"}], [{"usage": {}, "task": "no-such-task"}]):
        mix = mix_of("acme", nothing, 5)
        assert (mix.own, [dict(job.units) for job in mix.jobs]) == (
            False, [{"input_tokens": 600, "output_tokens": 200}]
        )  # fmt: skip


# Costs


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


def test_compute_time_is_charged_as_long_as_the_models_own_calls_took(explored):
    store, index = explored
    fill(store, result(1, model="org/m", call_ms=40, task="text-classification", usage={"compute_ms": 9_999}))
    world = world_of(index)
    world.folds[PRICES](record(PRICES, 0, price_event("hf-inference", "org/m", nanousd_per_compute_ms=10)))
    world.folds[PRICES](record(PRICES, 1, price_event("hf-inference", "org/other", nanousd_per_compute_ms=10)))
    mix = Mix("acme", [Used("text-classification", {"compute_ms": 1})])

    assert world.of("acme").costs("org/m", mix).nanousd.value == 400
    told = world.of("acme").costs("org/other", mix)
    assert (told.nanousd, "no call of it has been observed" in told.why_not) == (None, True)


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
