"""Calendar windows: where clocks are set forward and back, at month ends, and in zones that do as they like."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.money.windows import Calendar, UnknownZone, calendar, kind_of, span, zone_of
from schemas.accounts import Window

BERLIN, ZONES = "Europe/Berlin", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
INSTANTS = st.integers(1_577_836_800, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
KINDS: list[Window] = ["hour", "day", "month"]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("inside", "hours"),
    [("2026-03-29T10:00", 23), ("2026-10-25T10:00", 25), ("2026-11-22T10:00", 24)],
)
def test_a_day_has_as_many_hours_as_its_clocks_say(inside: str, hours: int):
    begin, end = span("day", utc(inside), zone_of(BERLIN))

    assert end - begin == timedelta(hours=hours)


def test_the_hour_that_is_there_twice_is_two_windows():
    here = calendar(BERLIN)

    first, second = here.labels(utc("2026-10-25T00:30")), here.labels(utc("2026-10-25T01:30"))

    assert (first.hour, second.hour) == ("2026-10-25T02", "2026-10-25T02+01:00")
    assert first.day == second.day == "2026-10-25"
    assert span("hour", utc("2026-10-25T00:30"), zone_of(BERLIN))[1] == utc("2026-10-25T01:00")


def test_the_hour_that_is_left_out_is_no_window():
    here = calendar(BERLIN)

    assert here.labels(utc("2026-03-29T00:59:59.999999")).hour == "2026-03-29T01"
    assert here.labels(utc("2026-03-29T01:00")).hour == "2026-03-29T03"


def test_a_half_hour_that_is_set_back_is_a_window_of_half_an_hour():
    begin, end = span("hour", utc("2026-04-04T15:15"), zone_of("Australia/Lord_Howe"))

    assert end - begin == timedelta(minutes=30)


def test_a_day_that_was_left_out_lies_in_no_window():
    """Samoa went from the 29th of December 2011 to the 31st."""
    assert span("day", utc("2011-12-30T09:00"), zone_of("Pacific/Apia"))[1] == utc("2011-12-30T10:00")
    assert calendar("Pacific/Apia").labels(utc("2011-12-30T10:00")).day == "2011-12-31"


def test_a_month_ends_at_local_midnight():
    here = calendar("Asia/Kolkata")

    assert here.labels(utc("2026-02-28T18:29:59")).month == "2026-02"
    assert here.labels(utc("2026-02-28T18:30")).month == "2026-03"
    assert here.ends("month", utc("2026-02-01T12:00")) == utc("2026-02-28T18:30")


@given(st.sampled_from(ZONES), INSTANTS, st.sampled_from(KINDS))
def test_windows_lie_end_to_end_and_each_has_one_label(zone: str, instant: datetime, kind: Window):
    here = zone_of(zone)
    begin, end = span(kind, instant, here)

    assert begin <= instant < end
    label = calendar(zone).labels(instant).of(kind)
    assert kind_of(label) == kind
    inside = {calendar(zone).labels(begin + (end - begin) * share // 10).of(kind) for share in range(10)}
    assert inside == {label} == {calendar(zone).labels(end - timedelta(microseconds=1)).of(kind)}
    assert calendar(zone).labels(end).of(kind) != label != calendar(zone).labels(begin - timedelta(seconds=1)).of(kind)
    assert span(kind, end, here)[0] == end


@given(st.sampled_from(ZONES), st.lists(INSTANTS, max_size=20))
def test_a_calendar_says_the_same_whatever_it_was_asked_before(zone: str, instants: list[datetime]):
    asked = Calendar(zone_of(zone))

    for instant in instants:
        fresh = Calendar(zone_of(zone))
        assert asked.labels(instant) == fresh.labels(instant)
        assert [asked.ends(kind, instant) for kind in KINDS] == [fresh.ends(kind, instant) for kind in KINDS]


def test_the_total_has_no_end():
    assert calendar("UTC").ends("total", utc("2026-11-22T12:00")) is None
    with pytest.raises(ValueError, match="total"):
        span("total", utc("2026-11-22T12:00"), UTC)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("instant", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_an_instant_at_the_end_of_all_calendars_has_windows_as_well(instant: datetime, zone: str):
    """A record may tell such a time; it stops nobody."""
    for kind in KINDS:
        begin, end = span(kind, instant, zone_of(zone))
        assert begin < end
        assert kind_of(calendar(zone).labels(instant).of(kind)) == kind


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "/etc/passwd", "Europe", "A\0b", "x" * 64])
def test_an_unknown_zone_is_refused_by_its_size(name: str):
    with pytest.raises(UnknownZone, match=f"^a time zone of {len(name)} characters"):
        calendar(name)


def test_a_calendar_that_is_asked_for_years_remembers_few_windows():
    here = calendar("Asia/Tokyo")
    for hour in range(100):
        here.ends("hour", utc("2026-11-22T12:00") + timedelta(hours=hour))

    assert len(here._ends) <= 8
