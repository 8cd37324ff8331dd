"""What Novix has measured of models, from the explorer's memory and the topics: fresh, bounded, else unknown."""

from console_world import NOON, Story, ms
from known_records import LLAMA, Clock, fill, record, result, world_of

from console.hub.observed import MOST_KEPT, Observed, mix_of, speed_of
from console.index.calls import Call
from schemas import codec
from schemas.registry import Admission, RegistryRecord
from schemas.topics import DECISIONS, EVALS, REGISTRY

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


def test_the_models_of_which_anything_is_known_are_gathered_once_for_each_version_of_what_is_told():
    """The same object while nothing is told; another one with the next run, price or word of the registry."""
    world = world_of()
    first = world.named()
    assert world.named() is first

    world.runs.fold(record(EVALS, 0, b"not a run"))
    again = world.named()
    assert again is not first
    assert again == first

    said = RegistryRecord(event=Admission(at=NOON, model="org/new", state="admitted"))
    world.registry.fold(record(REGISTRY, 0, said.encode()))
    assert world.named() - first == {"org/new"}


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
