"""How hard is a prompt? A number from 0 to 1, from features that can be counted; no model is asked.

The brief's `analyze_semantic_complexity` is the seam; what it counts is ours. Each feature is a count that saturates,
so text that is added after a line break never lowers the score, and length alone never passes the default threshold of
0.4. The word lists are English: in other languages length, structure, code and numbers still count.
"""

from typing import Any

from router import texts

SCORER = "features/1"
"""Name and version. Whoever changes a weight or a list changes the number: decisions name their scorer."""

READ_CHARS = 16_384
"""Of the prompt; what follows counts by its length alone."""


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


REASONING = _words(
    "prove proof derive deduce infer explain why analyse analyze analysis compare contrast evaluate assess critique "
    "justify reason reasoning argue trade-off trade-offs tradeoff tradeoffs design architect architecture optimise "
    "optimize optimal plan strategy diagnose debug refactor implement algorithm complexity theorem hypothesis "
    "consequences implications synthesise synthesize formalise formalize"
)
"""Words that ask for several steps of thought."""

CONSTRAINTS = _words(
    "must exactly only without unless except least most between never always ensure constraint constraints "
    "requirement requirements json yaml csv table format schema"
)
"""Words that bind the answer's content or form."""

CODE_MARKS = (("`", "```"), ("=", "=>"), (">", "->"), ("::", "::"), ("=", "!="), ("=", "=="), ("{", "{"), (";", ";\n"))
"""Each with a sign that it has: most prompts have none of them, and one sign is found missing faster than a mark."""
CODE_LINES = ("def ", "class ", "import ", "from ", "func ", "fn ", "public ", "SELECT ", "#include", "return ")
LIST_LINES = ("- ", "* ", "1", "2", "3", "4", "5", "6", "7", "8", "9")
STRIP = ".,;:!?()[]{}\"'`*"

WEIGHTS = {
    "length": 0.20,
    "reasoning": 0.40,
    "constraints": 0.16,
    "code": 0.16,
    "structure": 0.10,
    "numbers": 0.08,
    "turns": 0.10,
    "tools": 0.16,
}
"""The most that each feature adds. Together more than 1: the sum is cut."""


def score(task: str, task_input: Any) -> float:
    """The complexity of one task's input, 0 to 1. Total over any JSON; equal inputs give equal scores."""
    features = measure(task, task_input)
    return min(1.0, round(sum([WEIGHTS[name] * share for name, share in features.items()]), 4))


def measure(task: str, task_input: Any) -> dict[str, float]:
    """Each feature's share of its weight, 0 to 1."""
    prompt = texts.prompt(task, task_input)
    read = prompt[:READ_CHARS]
    words = read.lower().split()
    distinct = set(words)  # a prompt says most of its words several times
    plain = {word.strip(STRIP) for word in distinct}
    numbers = {word for word in distinct if word[0].isdigit()}
    lines = [line.lstrip() for line in read.splitlines()]
    code = sum([read.count(mark) for sign, mark in CODE_MARKS if sign in read]) + sum(
        [line.startswith(CODE_LINES) for line in lines]
    )
    questions = read.count("?") + read.count("？")
    steps = sum([line.startswith(LIST_LINES) for line in lines]) + max(0, questions - 1)
    return {
        "length": _share(len(prompt) - 200, 8_000),
        "reasoning": _share(len(REASONING & plain), 4),
        "constraints": _share(len(CONSTRAINTS & plain), 4),
        "code": _share(code, 4),
        "structure": _share(steps, 5),
        "numbers": _share(sum(map(words.count, numbers)) if len(numbers) < 12 else 12, 12),
        "turns": _share(len(texts.messages(task_input)) - 2, 10),
        "tools": _tools(task_input),
    }


def _share(count: int, full: int) -> float:
    return 0.0 if count <= 0 else 1.0 if count >= full else count / full


def _tools(task_input: Any) -> float:
    """Tools and a demanded answer format make the model obey a schema beside answering."""
    if not isinstance(task_input, dict):
        return 0.0
    tools = task_input.get("tools")
    many = len(tools) if isinstance(tools, list) else 0
    return max(_share(many + 1, 4) if many else 0.0, 0.5 if task_input.get("response_format") else 0.0)
