"""What Live counts, from what brokers and processes say."""

from datetime import UTC, datetime, timedelta

from console.live.processes import named
from console.live.providers import providers
from console.live.rates import MOST_LOOKS, POINTS, SPARK_HEIGHT, SPARK_WIDTH, Rates, sparkline
from console.live.traffic import COUNTED_OFFSETS, to_count, topics
from runtime.survey import Group, Survey
from schemas.assignment import Price
from schemas.topics import JOBS, RESULTS, ROUTER_GROUP, TEXT, worker_group

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEXT_GROUP = worker_group("text")


def survey(ends, **committed):
    groups = [Group(name, "Stable", (), places) for name, places in committed.items()]
    return Survey(ends, tuple(groups), 1)


# rates


def test_a_rate_is_what_was_added_over_the_time_that_was_looked():
    rates = Rates()
    rates.add(10.0, {("t", 0): 100, ("t", 1): 7})
    rates.add(14.0, {("t", 0): 300, ("t", 1): 7})

    assert rates.per_s(("t", 0)) == 50
    assert rates.per_s(("t", 1)) == 0
    assert rates.over_s == 4


def test_one_look_or_two_at_the_same_time_tell_no_rate():
    rates = Rates()
    rates.add(10.0, {("t", 0): 100})
    assert rates.per_s(("t", 0)) is None
    rates.add(10.5, {("t", 0): 200})
    assert rates.per_s(("t", 0)) is None
    assert rates.per_s(("other", 0)) is None


def test_what_is_older_than_a_minute_counts_no_more_and_looks_are_bounded():
    rates = Rates()
    rates.add(0.0, {("t", 0): 0})
    for second in range(1, 3_000):
        rates.add(second / 10, {("t", 0): 1_000_000 + second})
    assert rates.over_s <= 60
    assert 9 < rates.per_s(("t", 0)) < 11
    assert len(rates._looks) <= MOST_LOOKS


def test_a_topic_that_was_made_anew_has_no_negative_rate():
    rates = Rates()
    rates.add(0.0, {("t", 0): 1_000})
    rates.add(2.0, {("t", 0): 3})
    assert rates.per_s(("t", 0)) == 0
    assert rates.course("t") == [0]


def test_the_course_of_a_topic_sums_its_partitions_and_has_few_points():
    rates = Rates()
    for second in range(60):
        rates.add(float(second), {("t", 0): second * 10, ("t", 1): second * 5, ("u", 0): 9})
    course = rates.course("t")
    assert {round(rate, 6) for rate in course} == {15.0}
    assert 2 <= len(course) <= POINTS


def test_a_sparkline_stays_in_its_box():
    points = [tuple(map(float, pair.split(","))) for pair in sparkline((0.0, 5.0, 2.5)).split()]
    assert [x for x, _ in points] == [0, SPARK_WIDTH / 2, SPARK_WIDTH]
    assert points[1][1] < points[2][1] < points[0][1] < SPARK_HEIGHT
    assert sparkline((1.0,)) == ""
    assert "nan" not in sparkline((0.0, 0.0))


# lag, in flight


def test_lag_is_end_less_commit_and_a_topic_without_a_group_has_none():
    seen = survey(
        {(TEXT.name, 0): 500, (TEXT.name, 1): 90, (RESULTS.name, 0): 8}, **{TEXT_GROUP: {(TEXT.name, 0): 100}}
    )
    text, results = topics(seen, Rates(), {}, [])

    assert (text.name, text.group, text.lag, text.lag_is_exact) == (TEXT.name, TEXT_GROUP, 400, False)
    assert [one.lag for one in text.partitions] == [400, None]
    assert (results.group, results.lag) == (None, None)


def test_a_short_lag_is_counted_in_records_as_marks_of_transactions_are_none():
    place, other = (TEXT.name, 0), (TEXT.name, 1)
    seen = survey({place: 101, other: 1_000}, **{TEXT_GROUP: {place: 100, other: 100}})

    assert to_count(seen) == {place: (100, 101)}
    assert COUNTED_OFFSETS < 900
    [text] = topics(seen, Rates(), {place: 0}, [])
    assert [(one.lag, one.lag_is_exact) for one in text.partitions] == [(0, True), (900, False)]


def test_a_commit_beyond_the_end_or_of_another_group_is_no_lag():
    place = (JOBS.name, 0)
    seen = survey({place: 5}, **{ROUTER_GROUP: {place: 9}, "somebody": {place: 1}})
    assert to_count(seen) == {}
    [jobs] = topics(seen, Rates(), {}, [])
    assert (jobs.lag, jobs.lag_is_exact) == (0, True)


def test_in_flight_and_the_oldest_come_from_the_lane_however_deep_its_process_tells_it():
    lane = {"lane": f"{TEXT_GROUP}.{TEXT.name}.0", "state": "stuck", "reason": "no commit", "open": 12, "oldest_s": 3.5}
    lies = {"lane": f"{TEXT_GROUP}.{TEXT.name}.1", "open": "many", "oldest_s": True, "state": None}
    told = [{"worker": {"text": {"lanes": [lane, lies, "nonsense"]}}}, None, "nonsense"]
    [text] = topics(survey({(TEXT.name, 0): 1, (TEXT.name, 1): 1}), Rates(), {}, told)

    first, second = text.partitions
    assert (first.in_flight, first.oldest_s, first.state, first.reason) == (12, 3.5, "stuck", "no commit")
    assert (second.in_flight, second.oldest_s, second.state) == (None, None, "")
    assert (text.in_flight, text.oldest_s) == (12, 3.5)


# providers


def breaker(state="open", retry_s=60, **more):
    told = {"provider": "groq", "model": "org/m", "state": state, "at": NOW.isoformat(), "by": "novix-worker-text/a"}
    return {**told, "retry_at": (NOW + timedelta(seconds=retry_s)).isoformat(), "because": "3 in a row", **more}


def view(**more):
    return {"limit": 4, "cap": 16, "in_flight": 2, "waiting": 1, "held_until": None, "limited": 5, **more}


def test_the_breaker_is_that_of_its_topic_as_it_stands_now():
    [still] = providers([breaker()], [], [], {}, NOW)
    [due] = providers([breaker(retry_s=-1)], [], [], {}, NOW)
    [closed] = providers([breaker("closed")], [], [], {}, NOW)

    assert (still.breaker, still.because) == ("open", "3 in a row")
    assert due.breaker == "half-open"
    assert (closed.breaker, closed.retry_at) == ("closed", None)


def test_what_processes_tell_of_one_model_is_summed_each_process_once():
    one = {"text": {"limits": {"groq/org/m": view()}}, "image": {"limits": {"groq/org/m": view()}}}
    other = {"limits": {"groq/org/m": view(limit=6, limited=1), "broken": view(), "a/b": "nonsense"}}
    [row] = providers([], [one, other, None], [], {}, NOW)

    assert (row.provider, row.model, row.breaker) == ("groq", "org/m", "closed")
    assert (row.limit, row.cap, row.in_flight, row.waiting, row.limited) == (10, 32, 4, 2, 6)


def test_the_price_is_the_newest_accepted_one_else_the_catalogues_and_unknown_is_not_zero():
    price = {"input_nanousd_per_million_tokens": 500_000_000, "source": "router", "as_of": "2026-11-22"}
    event = {"provider": "groq", "model": "org/m", "price": price}
    listed = {("groq", "org/m"): Price(output_nanousd_per_million_tokens=10**9, source="x", as_of="2026-01-01")}

    assert providers([breaker()], [], [event], listed, NOW)[0].price == "0.5 in/Mtok"
    assert providers([breaker()], [], [{**event, "state": "held"}], listed, NOW)[0].price == "1 out/Mtok"
    assert providers([breaker()], [], [{"nonsense": 1}], {}, NOW)[0].price == "unknown"
    assert providers([{"provider": 3}], [], [], {}, NOW) == []


# processes


def test_processes_elsewhere_are_named_with_their_addresses_and_nonsense_is_left_out():
    told = "worker-b=http://127.0.0.1:9001/healthz, http://127.0.0.1:9002/healthz,nonsense,file:///etc/passwd,"
    assert named(told) == [
        ("worker-b", "http://127.0.0.1:9001/healthz"),
        ("127.0.0.1:9002/healthz", "http://127.0.0.1:9002/healthz"),
    ]
    assert len(named(",".join(["http://a:1"] * 1_000))) == 64
