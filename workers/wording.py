"""A provider's own words about a failure, made fit to be told: short, without markup, without what the job said."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MAX_CHARS = 300
ECHO_CHARS = 12
"""A run of this many characters that the input has as well is taken for a piece of it."""
LEAST_ECHO_CHARS = 4
"""A whole text of the input is withheld from this length on; shorter ones are words like any other."""
INPUT = "[input]"

_QUOTES_INPUT = re.compile(
    r"""[\s,;(\[{'"]*\b(input_value|inputs?|prompts?|messages?|text|body|received|given|got)\b['"`]?\s*[=:]\s*['"{\[]""",
    re.IGNORECASE,
)
_INVISIBLE = re.compile(r"<(script|style|head)\b.*?(</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_QUERY = re.compile(r"(https?://[^\s?#'\"<>]+)[?#][^\s'\"<>]*", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*(>|\Z)")
_FIRST_TEXT = re.compile(r'"(?:error|message|detail|msg)"\s*:\s*"((?:[^"\\]|\\.)*)"')


def message_of(status: int, headers: Mapping[str, str], document: Any, text: str) -> str:
    """The message of a refusal, read in the official client's order; `document` is its body as JSON, or None.

    `X-Error-Message`, `error` (text, list or object), `error_description`, `errors[].message`, then `message`, `detail`
    (text, or a list of which place and rule are told and never the value) and `title`; else the text without markup.
    """
    told = headers.get("x-error-message", "") or _of_document(document)
    if not told and document is None:
        told = _of_text(text)
    elif _PAGE.match(told):
        told = _of_text(told)
    if not told and 300 <= status < 400 and "location" in headers:
        told = f"status {status}: it is now at {headers['location']}"
    return tidy(told)


def tidy(text: str) -> str:
    """One line of at most `MAX_CHARS` printable characters, ending before anything that quotes an input.

    Addresses lose their query: signed ones carry a credential in it.
    """
    text = _QUERY.sub(r"\1", " ".join(text.split()))
    quote = _QUOTES_INPUT.search(text)
    if quote is not None and quote.start() > 0:
        text = text[: quote.start()]
    return "".join(char if char.isprintable() else "?" for char in text)[:MAX_CHARS]


def told(message: str, inputs: Iterable[str], redact: Callable[[str], str]) -> str:
    """`message` without what it repeats of the job's `inputs`, and without credentials."""
    return redact(without_echo(redact(message), inputs))[:MAX_CHARS]


def without_echo(message: str, inputs: Iterable[str]) -> str:
    """`message` with every piece of the job's own texts replaced: `ECHO_CHARS` in a row, or a whole short text.

    Providers quote what they refuse, in forms that nobody can list; so it is compared rather than guessed.
    """
    texts = [" ".join(text.split()) for text in inputs]
    for text in sorted((text for text in texts if len(text) >= LEAST_ECHO_CHARS), key=len, reverse=True):
        if len(text) <= len(message):
            message = message.replace(text, INPUT)
    haystack = "\0".join(texts)
    kept: list[str] = []
    at = 0
    while at < len(message):
        end = at + ECHO_CHARS
        if end <= len(message) and message[at:end] in haystack:
            while end < len(message) and message[at : end + 1] in haystack:
                end += 1
            kept.append(INPUT)
            at = end
        else:
            kept.append(message[at])
            at += 1
    return "".join(kept)


def texts_of(value: Any) -> list[str]:
    """Every text inside a JSON value, keys left out."""
    found: list[str] = []
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Mapping):
            todo.extend(item.values())
        elif isinstance(item, list):
            todo.extend(item)
    return found


def _of_document(document: Any) -> str:
    if isinstance(document, str):
        return document
    if not isinstance(document, dict):
        return ""
    for name in ("error", "error_description", "errors", "message", "detail", "title"):
        told = _of_value(document.get(name))
        if told:
            return told
    return ""


def _of_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        loc = value.get("loc")
        place = ".".join(str(part) for part in loc if isinstance(part, str | int)) if isinstance(loc, list) else ""
        rule = next((value[name] for name in ("message", "msg", "type") if isinstance(value.get(name), str)), "")
        return f"{place}: {rule}" if place and rule else rule
    if isinstance(value, list):
        return "; ".join(filter(None, (_of_value(item) for item in value[:3])))
    return ""


def _of_text(text: str) -> str:
    if text.lstrip()[:1] in ("{", "["):  # JSON that was cut: its first message, rather than whatever it quotes
        found = _FIRST_TEXT.search(text)
        return found[1] if found else ""
    if "<" not in text:
        return text
    title = _TITLE.search(text)
    return html.unescape(_TAG.sub(" ", title[1] if title else _INVISIBLE.sub(" ", text)))
