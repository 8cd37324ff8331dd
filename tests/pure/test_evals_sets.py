"""Labelled sets from files and from the dataset viewer: bounded, and never told to anybody."""

import asyncio
import json

import pytest

from hub.evals.labelled import MOST_BYTES, MOST_LINE_BYTES, BadSet, Columns, labelled, rows_of
from hub.evals.viewer import PAGE_ROWS, Source, page_of, rows

CANARY = "the-canary-sings-at-dawn"


def read(name, data, task="text-classification", columns=None, limit=100):
    return labelled(name, task, rows_of(name, data), columns or Columns(), limit=limit)


def test_json_lines_and_a_table_are_the_same_set():
    lines = b'{"text": "one", "label": "a"}\n\n{"text": "two, too", "label": "b"}\r\n'
    table = b'\xef\xbb\xbftext,label\r\none,a\r\n"two, too",b\r\n'

    one, other = read("x.jsonl", lines), read("x.csv", table)

    assert one.examples == other.examples
    assert one.digest == other.digest
    assert one.digest.startswith("sha256:")


def test_another_label_another_order_or_another_task_is_another_set():
    first = read("x.jsonl", b'{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}')
    others = [
        read("x.jsonl", b'{"text": "one", "label": "b"}\n{"text": "two", "label": "b"}'),
        read("x.jsonl", b'{"text": "two", "label": "b"}\n{"text": "one", "label": "a"}'),
        read("x.jsonl", b'{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}', "zero-shot-classification"),
    ]

    assert len({one.digest for one in (first, *others)}) == 4


def test_columns_of_other_names_are_told_by_name():
    found = read("x.csv", b"body,mood\nhello,calm\n", columns=Columns("body", "mood"))

    assert (found.examples[0].input, found.examples[0].label) == ({"inputs": "hello"}, "calm")
    with pytest.raises(BadSet, match="no column 'body'"):
        read("x.csv", b"text,label\nhello,calm\n", columns=Columns("body", ""))


def test_no_more_examples_than_the_limit_are_read_and_bad_rows_are_counted():
    data = b"\n".join(json.dumps({"text": "x" if n % 2 else "", "label": "a"}).encode() for n in range(50))

    found = read("x.jsonl", data, limit=10)

    assert len(found.examples) == 10
    assert found.left_out == {"its input is empty": 10}


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("x.jsonl", b"", "it is empty"),
        ("x.jsonl", b'{"text": "' + CANARY.encode(), "line 1 (34 bytes) is no JSON"),
        ("x.jsonl", b'["' + CANARY.encode() + b'"]', "line 1 is a list"),
        ("x.jsonl", b'{"text": "' + b"x" * MOST_LINE_BYTES + b'"}', f"an example may have {MOST_LINE_BYTES}"),
        ("x.jsonl", b"x" * (MOST_BYTES + 1), f"a set may have {MOST_BYTES}"),
        ("x.csv", b"\xff\xfe", "is no UTF-8: byte 0"),
        ("x.csv", b"a\0b", "NUL"),
        ("x.csv", b"text,label\none\n", "number of columns than its header, 2"),
        ("x.csv", b"text,label\none,two,three\n", "number of columns than its header, 2"),
        ("x.csv", b"text,label\n" + b"x" * (MOST_LINE_BYTES + 5) + b",a\n", "may have"),
        ("x.jsonl", json.dumps({"text": CANARY, "label": [CANARY]}).encode(), "its label is a list"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_set_is_refused_with_line_size_and_limit_and_without_its_content(name, data, told):
    with pytest.raises(BadSet) as refused:
        read(name, data)

    assert told in str(refused.value)
    assert CANARY not in str(refused.value)
    assert len(str(refused.value)) < 500


# The dataset viewer


def answer(*values, total=None, features=None, **more):
    told = [{"feature_idx": 0, "name": "text", "type": {"dtype": "string", "_type": "Value"}},
            {"feature_idx": 1, "name": "label", "type": {"names": ["neg", "pos"], "_type": "ClassLabel"}}]  # fmt: skip
    return json.dumps({
        "features": told if features is None else features,
        "rows": [{"row_idx": at, "row": row, "truncated_cells": []} for at, row in enumerate(values)],
        "num_rows_total": total, "num_rows_per_page": PAGE_ROWS, "partial": False, **more,
    }).encode()  # fmt: skip


def test_classes_are_told_by_their_names_also_in_lists():
    kind = {"names": ["O", "B-PER"], "_type": "ClassLabel"}
    for type_ in ({"feature": kind, "_type": "Sequence"}, {"feature": kind, "_type": "List"}, [kind]):
        page = page_of(answer({"tags": [1, 0]}, features=[{"name": "tags", "type": type_}]))
        assert page.rows == [{"tags": ["B-PER", "O"]}]

    assert page_of(answer({"text": "x", "label": 1})).rows == [{"text": "x", "label": "pos"}]


def test_a_row_without_a_label_is_none_and_a_cut_row_is_left_out():
    body = json.loads(answer({"text": "x", "label": -1}, {"text": "long", "label": 0}))
    body["rows"][1]["truncated_cells"] = ["text"]

    page = page_of(json.dumps(body).encode())

    assert (page.rows, page.cut, page.read) == ([{"text": "x", "label": None}], 1, 2)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"rows": 5}', b'{"rows": [5]}', b'{"rows": [{}]}'])
def test_an_answer_that_is_none_is_refused(body):
    with pytest.raises(BadSet, match="dataset viewer"):
        page_of(body)


def asked(pages, limit):
    """The addresses that were asked, and the rows."""
    addresses = []

    async def get(url):
        addresses.append(url)
        return pages[min(len(addresses), len(pages)) - 1]

    async def all_of():
        source = Source("http://hub/", "org/set & more", "plain text", "test")
        return [row async for row in rows(source, get, limit=limit)]

    return addresses, asyncio.run(all_of())


def test_pages_are_read_until_the_split_ends():
    full = [{"text": f"t{n}", "label": 0} for n in range(100)]

    addresses, found = asked([answer(*full, total=130), answer(*full[:30], total=130)], 1_000)

    assert len(found) == 130
    assert addresses == [
        "http://hub/rows?dataset=org%2Fset+%26+more&config=plain+text&split=test&offset=0&length=100",
        "http://hub/rows?dataset=org%2Fset+%26+more&config=plain+text&split=test&offset=100&length=100",
    ]


def test_cut_rows_count_as_read_so_that_the_next_page_begins_behind_them():
    body = json.loads(answer(*[{"text": f"t{n}", "label": 0} for n in range(100)], total=101))
    body["rows"][7]["truncated_cells"] = ["text"]

    addresses, found = asked([json.dumps(body).encode(), answer({"text": "last", "label": 1}, total=101)], 1_000)

    assert "offset=100&" in addresses[1]
    assert len({row["text"] for row in found}) == len(found) == 100


def test_a_viewer_that_never_ends_is_read_to_a_bound():
    addresses, found = asked([answer({"text": "x", "label": 0})], 1_000)

    assert len(addresses) == len(found) == 100
    assert asked([answer()], 10)[1] == []


def test_no_more_rows_than_are_wanted_are_asked_for():
    addresses, _ = asked([answer({"text": "x", "label": 0}, total=1)], 7)

    assert addresses[0].endswith("&offset=0&length=7")


def test_a_sound_is_known_by_its_path_and_not_by_an_address_that_expires():
    def spoken(address):
        row = {"audio": [{"src": address, "type": "audio/wav"}], "transcription": "hello"}
        return labelled("s", "automatic-speech-recognition", [row], Columns(), limit=1)

    one = spoken("https://hub/assets/1.wav?Signature=a&Expires=5")

    assert one.examples[0].input == {"inputs": "https://hub/assets/1.wav?Signature=a&Expires=5"}
    assert one.digest == spoken("http://other:80/assets/1.wav").digest
    assert one.digest != spoken("https://hub/assets/2.wav").digest
