"""How hard is a prompt? A number from 0 to 1, from features that can be counted; no model is asked.

The brief's `analyze_semantic_complexity` is the seam; what it counts is ours. Each feature is a count that saturates,
so text that is added after a line break never lowers the score, and length alone never passes the default threshold of
0.4. Words are known in English, German, French, Spanish, Italian, Portuguese, Russian, Chinese and Japanese; in other
languages length, structure, code and numbers still count. How well it tells hard prompts from easy ones stands in
`docs/complexity.md`, measured on the labelled set `router/data/complexity.jsonl`.
"""

from typing import Any

from router import texts

SCORER = "features/2"
"""Name and version. Whoever changes a weight or a list changes the number: decisions name their scorer."""

READ_CHARS = 4_096
"""Of the prompt; what follows counts by its length alone."""


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


STRONG = _words(
    "prove proof derive deduce refute disprove analyse analyze analysis compare contrast evaluate assess critique "
    "justify argue trade-off trade-offs tradeoff tradeoffs design architect architecture diagnose debug refactor "
    "implement "
    "theorem counterexample synthesise synthesize formalise formalize optimise optimize hypotheses differential "
    "beweise beweis leite herleiten vergleiche bewerte analysiere entwirf erörtere widerlege begründe beurteile "
    "démontre démontrer prouve compare comparer évalue évaluer analyse analyser conçois concevoir justifie réfute "
    "demuestra demostrar compara comparar evalúa evaluar analiza analizar diseña diseñar justifica deduce refuta "
    "dimostra dimostrare confronta confrontare valuta analizza progetta giustifica confuta "
    "prove compare avalie analise projete justifique demonstre refute "
    "докажи доказать сравни сравнить оцени оценить проанализируй спроектируй обоснуй опровергни выведи"
)
"""Words that ask for several steps of thought, whatever they are about."""

MILD = _words(
    "explain why how discuss describe consider interpret infer reason reasoning plan strategy propose develop "
    "algorithm complexity hypothesis consequences implications step steps edge recommend identify causes cause "
    "improve risks "
    "erkläre warum wieso diskutiere plane grenzfall randfälle ursachen laufzeit folgen strategie "
    "explique expliquer pourquoi discute planifie causes conséquences complexité limites stratégie "
    "explica explicar porqué qué planifica causas consecuencias complejidad límite estrategia riesgos "
    "spiega perché pianifica cause conseguenze complessità vincoli strategia "
    "explique porque planeje consequências complexidade estratégia riscos "
    "объясни почему причины последствия анализ анализом сложности стратегия тестами"
)
"""Words that often do."""

STRONG_SIGNS = (
    "证明",
    "比较",
    "评估",
    "设计",
    "推导",
    "分析",
    "重构",
    "論証",
    "証明",
    "比較",
    "評価",
    "設計",
    "リファクタ",
    "考察",
)
MILD_SIGNS = (
    "为什么",
    "解释",
    "理由",
    "步",
    "なぜ",
    "説明",
    "原因",
    "复杂度",
    "計算量",
    "权衡",
    "トレードオフ",
    "启示",
)
"""The same where words are not divided by spaces."""
SIGNS_WITHIN = 1_024
"""Characters in which they are looked for."""
STRONG_POINTS, FULL_POINTS = 4, 6

CONSTRAINTS = _words(
    "must exactly only without unless except least most between never always ensure constraint constraints no not both "
    "requirement requirements json yaml csv table format schema validate valid tests every each "
    "genau ohne mindestens höchstens jede jeder keine tabelle exactement sans moins chaque tableau exactamente sin "
    "máximo mínimo cada tabla esattamente senza ogni tabella exatamente sem cada без каждый ровно таблица"
)
"""Words that bind the answer's content or form."""

CODE_MARKS = (("`", "```"), ("=", "=>"), (">", "->"), ("::", "::"), ("=", "!="), ("=", "=="), ("{", "{"), (";", ";\n"))
"""Each with a sign that it has: most prompts have none of them, and one sign is found missing faster than a mark."""
CODE_LINES = ("def ", "class ", "import ", "from ", "func ", "fn ", "public ", "SELECT ", "#include", "return ")
LIST_LINES = ("- ", "* ", "1", "2", "3", "4", "5", "6", "7", "8", "9")
CLAUSES = (", ", "; ", ": ", "、", "，", "；")
CLAUSES_WITHIN = 600
"""Characters in which commas count: a long text has many, whatever is asked about it."""
BLANKS = ".,;:!?()[]{}\"'`*。，！？：；"

WEIGHTS = {
    "length": 0.15,
    "reasoning": 0.60,
    "constraints": 0.24,
    "code": 0.20,
    "structure": 0.25,
    "numbers": 0.10,
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
    plain = set(_blanked(read.lower()).split())
    numbers = [word for word in plain if word[0].isdigit()]
    lines = [line.lstrip() for line in read.splitlines()]
    code = sum([read.count(mark) for sign, mark in CODE_MARKS if sign in read]) + sum(
        [line.startswith(CODE_LINES) for line in lines]
    )
    questions = read.count("?") + read.count("？")
    steps = sum([line.startswith(LIST_LINES) for line in lines]) + max(0, questions - 1)
    clauses = sum([read.count(sign, 0, CLAUSES_WITHIN) for sign in CLAUSES])
    return {
        "length": _share(len(prompt) - 100, 600),
        "reasoning": _share(_points(plain, read), FULL_POINTS),
        "constraints": _share(len(CONSTRAINTS & plain), 4),
        "code": _share(code, 4),
        "structure": max(_share(steps, 5), _share(clauses, 6)),
        "numbers": _share(len(numbers), 8),
        "turns": _share(len(texts.messages(task_input)) - 2, 10),
        "tools": _tools(task_input),
    }


def _blanked(text: str) -> str:
    for sign in BLANKS:
        if sign in text:
            text = text.replace(sign, " ")
    return text


def _points(words: set[str], text: str) -> int:
    strong, mild = len(STRONG & words), len(MILD & words)
    if not text.isascii():
        head = text[:SIGNS_WITHIN]
        strong += sum([sign in head for sign in STRONG_SIGNS])
        mild += sum([sign in head for sign in MILD_SIGNS])
    return STRONG_POINTS * strong + mild


def _share(count: int, full: int) -> float:
    return 0.0 if count <= 0 else 1.0 if count >= full else count / full


def _tools(task_input: Any) -> float:
    """Tools and a demanded answer format make the model obey a schema beside answering."""
    if not isinstance(task_input, dict):
        return 0.0
    tools = task_input.get("tools")
    many = len(tools) if isinstance(tools, list) else 0
    return max(_share(many + 1, 4) if many else 0.0, 0.5 if task_input.get("response_format") else 0.0)
