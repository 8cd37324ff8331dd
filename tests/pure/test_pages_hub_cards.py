"""A model card as a page shows it: text and a few harmless tags, whatever its author wrote."""

import re
import time
from html.parser import HTMLParser

import pytest
from hostile_texts import TAG, TEXTS
from hub_world import CARD
from hypothesis import given
from hypothesis import strategies as st

from hub.cards import MAX_CHARS, rendered, repository

BASE = "https://hub.example/acme/m/blob/main/"
ALLOWED = {
    "p", "br", "hr", "em", "strong", "del", "s", "code", "pre", "blockquote", "ul", "ol", "li", "table", "thead",
    "tbody", "tr", "th", "td", "a", "sub", "sup", "b", "i", "kbd", "details", "summary",
}  # fmt: skip
ATTRIBUTES = {"href", "title", "rel", "class", "start", "scope"}


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def harmless(html: str) -> bool:
    found = _Tags(html)
    addresses = [value or "" for name, value in found.attributes if name == "href"]
    return (
        set(found.tags) <= ALLOWED
        and {name for name, _ in found.attributes} <= ATTRIBUTES
        and all(re.match(r"https?://", address) for address in addresses)
    )


def test_a_card_keeps_its_words_and_loses_scripts_pictures_and_front_matter():
    html = rendered(CARD, BASE).html
    assert harmless(html)
    assert "license:" not in html
    assert "alert" not in html
    assert "[picture: a logo]" in html
    assert "<em>biased</em>" in html


def test_use_cases_and_limitations_are_the_sections_of_these_names():
    card = rendered(CARD, BASE)
    assert card.uses is not None
    assert card.limitations is not None
    assert "Sentiment, entities" in card.uses
    assert "biased" not in card.uses
    assert "biased" in card.limitations


def test_what_a_card_does_not_state_is_none():
    card = rendered("# A model\n\n## Training\n\nLong.\n\n## Limitations\n\n## Citation\n\nMe.", BASE)
    assert (card.uses, card.limitations) == (None, None)


def test_one_heading_for_both_is_shown_as_both_and_one_of_its_own_wins():
    card = rendered("## Intended uses & limitations\n\nBoth.\n\n## Limitations\n\nOwn.", BASE)
    assert card.uses is not None
    assert card.limitations is not None
    assert "Both." in card.uses
    assert "Own." in card.limitations
    assert "Both." not in card.limitations


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("./run.py", f"{BASE}./run.py"),
        ("#uses", f"{BASE}#uses"),
        ("/acme/other", "https://hub.example/acme/other"),
        ("https://example.org/x", "https://example.org/x"),
    ],
)
def test_a_link_leads_where_its_author_meant(link: str, leads: str):
    html = rendered(f"[x]({link})", BASE).html
    assert f'href="{leads}"' in html
    assert 'rel="nofollow noopener noreferrer"' in html


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JaVaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "\\\\evil",
        "file:///etc/passwd",
        "mailto:a@b.example",
        "java&#115;cript:alert(1)",
    ],
)
def test_a_link_to_anything_else_is_text(link: str):
    for text in (f"[x]({link})", f'<a href="{link}">x</a>'):
        html = rendered(text, BASE).html
        assert harmless(html), html
        assert "<a" not in html or BASE in html
        assert "x" in html


@pytest.mark.parametrize(
    "more", ["onclick=a()", "style='position:fixed'", "target=_blank", "class=unseen", "id=quite", "ping=/pong"]
)
def test_a_tag_keeps_only_what_is_listed(more: str):
    for tag in (f'<a href="https://example.org" {more}>', f"<p {more}>", f"<table {more}><tr><td {more}>"):
        html = rendered(f"{tag}x", BASE).html
        assert harmless(html)
        assert more.partition("=")[2].strip("'") not in html, html


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_a_stranger_writes_is_harmless(text: str):
    html = rendered(text, BASE).html
    assert harmless(html)
    assert TAG not in _Tags(html).tags


@given(
    st.lists(
        st.sampled_from(
            [
                "<script>",
                "</script>",
                "<img src=x onerror=a()>",
                "<svg><a href=javascript:a()>",
                "<style>",
                "[a](javascript:a())",
                "![p](http://e/x)",
                "<a href='jav\tascript:a()'>",
                "<p class='unseen' style='x'>",
                "`",
                "```",
                "\n\n",
                "| a |\n|---|\n",
                "<details open ontoggle=a()>",
                "<math><mtext></mtext></math>",
                '<noscript><p title="</noscript><img src=x>">',
                "&lt;script&gt;",
                "<!--",
                "-->",
                "# ",
                "- ",
                "> ",
                "text",
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_no_mixture_of_tags_gets_through(text: str):
    card = rendered(text, BASE)
    assert harmless(card.html)
    assert all(part is None or harmless(part) for part in (card.uses, card.limitations))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 90_000,
        "*a_" * 30_000,
        "[a](" * 25_000,
        ">" * 90_000,
        "- " * 45_000,
        "<div>" * 20_000,
        "*a\n" * 45_000,
        "<" * 90_000,
        "[a]: /u\n" * 12_000,
        "|" * 3_000 + "\n" + "|-" * 3_000 + "\n" + "|a" * 30_000,
        "`" * 90_000,
        "x" * 3_000_000,
    ],
)
def test_a_card_that_is_made_to_take_long_takes_seconds_at_most(text: str):
    before = time.process_time()
    card = rendered(text, BASE)
    assert time.process_time() - before < 5
    assert len(card.html) < 10 * MAX_CHARS


def test_a_card_that_is_too_long_says_that_it_is_cut():
    assert rendered("a " * MAX_CHARS, BASE).is_cut
    assert not rendered("a", BASE).is_cut


def test_the_repository_of_each_kind_has_its_address():
    assert repository("https://hub.example/", "model", "acme/m m") == "https://hub.example/acme/m%20m/blob/main/"
    assert repository("https://hub.example", "dataset", "acme/d") == "https://hub.example/datasets/acme/d/blob/main/"
