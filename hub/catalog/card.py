"""The beginning of a repository's card as plain text: without front matter, markup, links, pictures and HTML. Pure.

Shown as text it can do nothing; pages that render a whole card do so by `hub.cards`.
"""

import re

from hub.catalog.fields import plain

MAX_SUMMARY_CHARS = 600
MAX_CARD_CHARS = 100_000
"""Of a card that is read."""
_FRONT = re.compile(r"\A\s*---[ \t]*\n.*?\n---[ \t]*(\n|\Z)", re.DOTALL)
_DROPPED = re.compile(r"<(script|style|svg|table)\b.*?(</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?(-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>?")
_PICTURE = re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,2000}\)")
_LINK = re.compile(r"\[([^\]\n]{0,500})\]\([^)\n]{0,2000}\)")
_OPEN_FRONT = re.compile(r"\A\s*---[ \t]*\n(?:(?:[\w\"'.-]+[ \t]*:|-[ \t]|[ \t]+\S).*\n)*")
"""Front matter that nobody closed ends where its keys and items do."""
_MARKS = re.compile(r"[*_`]{1,3}")


def decoded(body: bytes) -> str:
    """A card's text out of its bytes: UTF-8, or what a mark at its beginning says. What is neither has replacement
    characters in its place."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if body.startswith(mark):
            return body.decode(name, errors="replace")
    return body.decode(errors="replace")


def summary(text: str) -> str | None:
    """The first paragraphs with words in them, up to `MAX_SUMMARY_CHARS`, cut at a word; None: there are none."""
    body = text[:MAX_CARD_CHARS].replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    for pattern in (_FRONT, _OPEN_FRONT, _COMMENT, _DROPPED):
        body = pattern.sub("\n", body)
    body = _PICTURE.sub("\n", _TAG.sub(" ", _without_code(body)))
    body = _LINK.sub(r"\1", body)
    found: list[str] = []
    for block in re.split(r"\n\s*\n", body):
        lines = [line.strip() for line in block.splitlines() if not line.lstrip().startswith(("#", "|", "---", "==="))]
        said = plain(
            _MARKS.sub("", " ".join(line.lstrip("-+>0123456789. ") for line in lines)).replace("<", "").replace(">", "")
        )
        if len(said.split()) >= 4:
            found.append(said)
        if sum(map(len, found)) >= MAX_SUMMARY_CHARS:
            break
    whole = " ".join(found)
    if len(whole) > MAX_SUMMARY_CHARS:
        whole = whole[:MAX_SUMMARY_CHARS].rsplit(" ", 1)[0] + " ..."
    return whole or None


def _without_code(text: str) -> str:
    """Without blocks between fences; a fence that is not closed hides nothing. One pass: a pattern that looks for the
    end of each of 20,000 open fences takes half a minute."""
    kept: list[str] = []
    opened: str | None = None
    since = 0
    for line in text.split("\n"):
        fence = line[:3]
        if opened is None and fence in ("```", "~~~"):
            opened, since = fence, len(kept)
        elif opened is not None and line.rstrip(" \t") == opened:
            kept[since:] = [""]
            opened = None
            continue
        kept.append(line)
    return "\n".join(kept)
