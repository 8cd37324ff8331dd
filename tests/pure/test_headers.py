"""Record headers: the first of a name counts, and damage is no fault."""

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import headers

NAMES = st.sampled_from(["traceparent", "novix-schema", "other"])


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.text(st.characters(codec="utf-8"), max_size=10))), NAMES)
def test_the_first_header_of_a_name_counts(given_headers: list[tuple[str, str]], name: str):
    wire = tuple((key, value.encode()) for key, value in given_headers)

    assert headers.first(wire, name) == next((value for key, value in given_headers if key == name), None)


def test_a_header_that_is_no_utf8_or_null_tells_nothing():
    null: bytes = None  # type: ignore[assignment]  # a Kafka header may have no value

    assert headers.first((("novix-schema", b"\xff"),), "novix-schema") is None
    assert headers.first((("novix-schema", null),), "novix-schema") is None


def test_the_size_counts_bytes_of_names_and_values():
    assert headers.size_of([("é", b"12"), ("a", None)]) == 5


def test_our_names_are_told_apart():
    names = [value for name, value in vars(headers).items() if name.isupper() and isinstance(value, str)]

    assert len(names) == len(set(names)) > 10
