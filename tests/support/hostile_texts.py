"""What strangers write: texts, numbers and shapes for whatever leaves the system to human eyes, and where to put them.

`poisoned` puts one of them into every place of a record that its reader does not need to find it.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

TAG = "xhostile"
"""A tag that no page of ours has: where a parser finds it, text has become markup."""
MEGABYTE = 1_000_000
TEXTS: dict[str, str] = {
    "markup": f"</pre></script></title></textarea><{TAG}>\"'><img src=x onerror=alert(1)><svg/onload=alert(2)>",
    "comment": f"--><!--<{TAG}>]]>&lt;{TAG}&gt;<{TAG} x=`",
    "handler": f"\" autofocus onfocus=alert(1) x=\"' onmouseover='alert(2)' {TAG}='1",
    "script address": "javascript:alert(1)//",
    "data address": "data:text/html,<script>alert(1)</script>",
    "address": "//evil.example/\\evil.example/https://evil.example",
    "climbing": "../../../../etc/passwd",
    "encoded": "%2e%2e%2f%00%0d%0aset-cookie:%20a=b%3cscript%3e",
    "template": "{{7*7*1783}}{% raw %}${7*7}#{7*7}<%= 7*7 %>{{config}}{#",
    "sql": "' OR 1=1; DROP TABLE job; --%_*\" NEAR(a b) MATCH ^a:b AND NOT",
    "format": "%s%n%(x)s{0}{x.__class__}[red]bold[/red][link=http://evil.example]x[/link]",
    "csi": "\x1b[2J\x1b[31m\x1b[1000D\x1b[?1049h\x1b]0;owned\x07\x1b]8;;http://evil.example\x07x\x1b]8;;\x07\x1b]52;c;b3duZWQ=\x07",
    "dcs": '\x1bP$q"p\x1b\\\x1b_a\x1b\\\x1b^p\x1b\\\x1bc\x0e\x0f\x05',
    "c1": "\u009b31m\u009d0;owned\u009c\u0090p\u009c\u0085\u008d",
    "delete": "a\x7f\x08\x08b",
    "returns": "harmless\rowned\r\nset-cookie: a=b\r\n\r\n<script>\x0b\x0c",
    "nul": "a\x00b\x00",
    "formula": '=HYPERLINK("http://evil.example","x")',
    "plus": "+1+1|cmd'/c calc'!A0",
    "minus": "-2+3|cmd",
    "at": "@SUM(1+1)",
    "tab": "\t=1+1",
    "return": "\r=1+1",
    "newline": "\n=1+1",
    "space": "  =1+1",
    "quote": '"=1+1',
    "wide equals": "\uff1d1+1",
    "wide plus": "\uff0b1",
    "wide minus": "\uff0d1",
    "wide at": "\uff20SUM(1)",
    "mark before a formula": "\ufeff=1+1",
    "width before a formula": "\u200b=1+1",
    "fields": 'a,"b";=1+1\n=2+2',
    "turned": "\u202egpj.exe\u202c \u2066a\u2069\u2067b\u2068c\u061c\u200f\u200e",
    "unseen": "ad\u200bmin\u2060\ufeff\u00ad\u180e\u2063\ue0001\U000e0041",
    "separators": "a\u2028b\u2029c",
    "right to left": "\u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u05e2\u05d1\u05e8\u05d9\u05ea 12 / 34",
    "normalises": "\ufb01\u212b\u00e9e\u0301\uff0e\uff0e\uff0f\ufe64script\ufe65\u2024\u2024/",
    "marks": "Z" + "\u0300\u0489" * 400,
    "non-characters": "\ufffe\uffff\U0010ffff\ufdd0",
    "emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f3f4\U000e0067",
    "empty": "",
    "blank": " \u3000\u00a0",
    "dots": "..",
    "long word": "W" * 5_000,
    "long lines": "<b>\n" * 5_000,
}
"""By name. JSON and Kafka carry each of them; lone surrogates come as JSON escapes alone, which our codec refuses."""
LARGE = f"<{TAG}>\x1b[31m\u202e=" + "m" * MEGABYTE
NUMBERS: tuple[int | float, ...] = (0, -1, -(2**63), 2**63 - 1, 2**63, 2**64 - 1, 10**300, -1e308, 5e-324, -0.0)
INSTANTS = ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59.999999Z",
            "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "now")  # fmt: skip
NEEDED = frozenset({"tenant", "job_id", "id", "submission", "trace_id", "status", "verdict", "entries", "decisions"})
"""What a reader finds a record by."""


def poisoned(document: Any, text: str | None = None, number: Any = None, keep: frozenset[str] = NEEDED) -> Any:
    """The document with this text for each of its texts, as a name beside each of its names, and this number for each
    of its numbers; None leaves those."""
    if isinstance(document, Mapping):
        told = {
            name: value if name in keep and not isinstance(value, dict | list) else poisoned(value, text, number, keep)
            for name, value in document.items()
        }
        return told if text is None else {**told, text: text}
    if isinstance(document, list):
        return [poisoned(one, text, number, keep) for one in document]
    if isinstance(document, str):
        return document if text is None else text
    if isinstance(document, int | float) and not isinstance(document, bool):
        return document if number is None else number
    return document


def obeyed(text: str) -> set[str]:
    """Characters of a text that a terminal or a browser obeys, or shows nothing of: controls, marks of direction, what
    has no width. Newlines and tabs are neither, nor are joiners within words and emoji."""
    free = "\n\t\u200c\u200d\ufe0f"
    unseen = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return {
        ascii(one) for one in text if not one.isprintable() and one not in free and unicodedata.category(one) in unseen
    }
