"""A model card as a page may show it: Markdown of strangers to a few harmless tags. Pure.

markdown-it renders CommonMark with tables; nh3 (ammonia) then drops every tag, attribute and address that is not listed
here, whatever way it came. No picture is loaded: its words stand in its place.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

MAX_CHARS = 100_000
"""Of a card that is read; what is behind is cut off, and told."""
MAX_SECTION_CHARS = 6_000
"""Of one section's text that is shown by itself."""
MAX_LINE_CHARS = 5_000
"""A longer line is cut: emphasis and brackets are matched within a paragraph, at a cost that grows with its square."""
MAX_PARAGRAPH_LINES = 200
HEADING = "card-heading"
"""The class of what was a heading: a page has an outline of its own."""

_TAGS = {
    "p", "br", "hr", "em", "strong", "del", "s", "code", "pre", "blockquote", "ul", "ol", "li", "table", "thead",
    "tbody", "tr", "th", "td", "a", "sub", "sup", "b", "i", "kbd", "details", "summary",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}, "th": {"scope"}}
_DROPPED = {"script", "style", "iframe", "object", "embed", "template", "noscript", "svg", "math", "form", "textarea"}
"""These go with what is in them."""
_USES = re.compile(
    r"\b(?:intended use|use cases?|uses|direct use|usage|how to use|what can|applications?)\b", re.IGNORECASE
)
_LIMITS = re.compile(
    r"\b(?:limitations?|bias(?:es)?|risks?|out[- ]of[- ]scope|caveats?|known issues?)\b", re.IGNORECASE
)
_FRONT = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n.*?^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)
_EMPTY_LINK = re.compile(r"<a(?![^>]*\shref=)[^>]*>(.*?)</a>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A card as safe HTML, and what it says of uses and limitations; None: it does not state that."""

    html: str
    uses: str | None
    limitations: str | None
    is_cut: bool


def rendered(text: str, base: str = "https://huggingface.co/") -> Rendered:
    """`text` as HTML that runs nothing, loads nothing and leaves the page only by links that say so.

    `base` is where the card's own relative links lead: the address of the repository, with a slash at its end.
    """
    body = _FRONT.sub("", text[: MAX_CHARS + 1], count=1)
    is_cut = len(text) > MAX_CHARS
    tokens = _plainer(_markdown().parse(_bounded(body[:MAX_CHARS])))
    return Rendered(
        _html(tokens, base), _section(tokens, _USES, _LIMITS, base), _section(tokens, _LIMITS, _USES, base), is_cut
    )


def repository(hub_url: str, kind: str, repo: str) -> str:
    """The address that a card's relative links are of."""
    folder = {"dataset": "datasets/", "space": "spaces/"}.get(kind, "")
    return f"{hub_url.rstrip('/')}/{folder}{quote(repo, safe='/')}/blob/main/"


def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable(["table", "strikethrough"])


def _bounded(text: str) -> str:
    """The text without NUL, with every line and every paragraph of a length that is soon read."""
    lines, since_blank = [], 0
    for line in text.replace("\x00", "\ufffd").splitlines():
        since_blank = since_blank + 1 if line.strip() else 0
        if since_blank > MAX_PARAGRAPH_LINES:
            lines.append("")
            since_blank = 1
        lines.append(line[:MAX_LINE_CHARS])
    return "\n".join(lines)


def _plainer(tokens: Sequence[Token]) -> list[Token]:
    """Headings as paragraphs of a class, pictures as their words, tables' headings with a scope."""
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.meta = {"level": int(token.tag[1:])}
            token.tag = "p"
            if token.nesting == 1:
                token.attrSet("class", HEADING)
        elif token.type == "th_open":
            token.attrs = {"scope": "col"}
        elif token.type == "td_open":
            token.attrs = {}
        elif token.type == "inline" and token.children:
            token.children = [_worded(child) for child in token.children]
    return list(tokens)


def _worded(token: Token) -> Token:
    if token.type != "image":
        return token
    words = "".join(child.content for child in token.children or ()).strip()
    return Token("text", "", 0, content=f"[picture: {words}]" if words else "[picture]")


def _section(tokens: Sequence[Token], wanted: "re.Pattern[str]", other: "re.Pattern[str]", base: str) -> str | None:
    """What stands under the first heading that `wanted` fits, as HTML; rather under one that is not of `other`, too."""
    fitting = [
        at for at, one in enumerate(tokens) if one.type == "heading_open" and wanted.search(tokens[at + 1].content)
    ]
    for at in sorted(fitting, key=lambda at: other.search(tokens[at + 1].content) is not None):
        token = tokens[at]
        level, start, end, size = token.meta["level"], at + 3, at + 3, 0
        while end < len(tokens) and size < MAX_SECTION_CHARS:
            if tokens[end].type == "heading_open" and tokens[end].meta["level"] <= level:
                break
            size += len(tokens[end].content)
            end += 1
        while end < len(tokens) and tokens[end - 1].level > 0:  # not in the midst of a list
            end += 1
        html = _html(tokens[start:end], base)
        if nh3.clean_text(re.sub(r"<[^>]*>", "", html)).strip():
            return html
    return None


def _html(tokens: Sequence[Token], base: str) -> str:
    markdown = _markdown()
    options: Any = markdown.options
    raw = markdown.renderer.render(tokens, options, {})
    safe = nh3.clean(
        raw,
        tags=_TAGS,
        clean_content_tags=_DROPPED,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda tag, name, value: _address(value, base) if (tag, name) == ("a", "href") else value,
        allowed_classes={"p": {HEADING}},
        url_schemes={"https", "http"},
        link_rel="nofollow noopener noreferrer",
    )
    return _EMPTY_LINK.sub(r"\1", safe)


def _address(href: str, base: str) -> str | None:
    """An absolute address; None for one of a scheme that is none of ours."""
    href = href.strip()
    if href.lower().startswith(("https://", "http://")):
        return href
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:", href) or href.startswith(("//", "\\")) or "\\" in href:
        return None
    root = "/".join(base.split("/")[:3])
    return f"{root}{href}" if href.startswith("/") else base + href
