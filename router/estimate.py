"""What a call may cost and what it will probably cost, before it is made. Integers; money in nano-dollars.

Two counts of the same input, for two purposes:

- `most_input_tokens` bounds money. A byte-level BPE has no token shorter than one UTF-8 byte (Radford et al. 2019,
  "Language Models are Unsupervised Multitask Learners", 2.2), so the bytes of all that can reach the prompt bound its
  tokens. JSON's own brackets and names around each message, some thirty bytes, stand for the chat template's tokens
  around it; `TEMPLATE_TOKENS` for what a template writes by itself (a default system prompt, dates). Tools and answer
  schemas are written again by the template, indented and with instructions: they count `TOOLS_FACTOR` times.
- `input_tokens` is expected: about four bytes a token, as in English. It ranks offers and judges the context, where a
  wrong guess costs nothing: a provider refuses an overlong prompt before it works.

One call gives one answer: a worker does not send `n` or `best_of`, and says so in the result's `adapted`.
"""

from typing import Any

from router import texts
from schemas import codec
from schemas.assignment import Price
from schemas.values import frozen

GENERATIVE = frozenset({"chat-completion", "text-generation"})
"""Tasks whose answer is generated token by token: they have max_tokens, temperature and top_p."""

TEMPLATE_TOKENS = 128
TOOLS_FACTOR = 3
BYTES_PER_TOKEN = 4
EXPECTED_OUTPUT_TOKENS = 256
"""Of an answer that may be longer: what ranking counts with."""
CONTEXT_MARGIN_PERCENT = 25
"""Added to the expected input before it is held against a context."""

COMPUTE_MS_PER_CALL = 50
COMPUTE_MS_PER_INPUT_TOKEN = 1
COMPUTE_MS_PER_OUTPUT_TOKEN = 20
"""What a small model on a CPU takes, for offers that charge compute time: an assumption of ours, used for ranking and
for refusing a hopeless ceiling, never for billing."""

MICRO = 1_000_000
_PROMPT_FIELDS = ("tools", "tool_choice", "tool_prompt", "response_format")
_ASKED_TOKENS = {"chat-completion": ("max_tokens", "max_completion_tokens"), "text-generation": ("max_new_tokens",)}


@frozen
class Load:
    """What one input brings with it."""

    most_input_tokens: int
    """No tokenizer of the documented kind makes more of it."""
    input_tokens: int
    """Expected."""

    @property
    def context_tokens(self) -> int:
        """What the input is taken to fill of a context: expected, with a margin."""
        return self.input_tokens + -(-self.input_tokens * CONTEXT_MARGIN_PERCENT // 100)


def load_of(task: str, task_input: dict[str, Any]) -> Load:
    """Count one input. Total over any JSON object."""
    if task == "chat-completion":
        told = len(codec.encode(task_input.get("messages")))
        tools = sum(len(codec.encode(task_input[name])) for name in _PROMPT_FIELDS if task_input.get(name))
        texts_only = sum(len(texts.content(one).encode()) + 16 for one in texts.messages(task_input))
        most = told + TOOLS_FACTOR * tools + TEMPLATE_TOKENS
        expected = -(-(texts_only + tools) // BYTES_PER_TOKEN)
    else:
        size = sum(len(text.encode()) for text in texts.strings(task_input))
        most, expected = size + TEMPLATE_TOKENS, -(-size // BYTES_PER_TOKEN)
    return Load(most, expected)


def asked_tokens(task: str, task_input: dict[str, Any]) -> int | None:
    """The output tokens that the job itself asks for, by whichever name its task knows; None if it does not say."""
    given = generation_parameters(task, task_input)
    for name in _ASKED_TOKENS.get(task, ()):
        count = _whole(given.get(name))
        if count is not None:
            return count
    return None


def generation_parameters(task: str, task_input: dict[str, Any]) -> dict[str, Any]:
    """Where a task's input keeps its generation parameters: chat at the root, text generation under `parameters`."""
    found = task_input if task == "chat-completion" else task_input.get("parameters")
    return found if isinstance(found, dict) else {}


def money(price: Price, input_tokens: int, output_tokens: int, compute_ms: int = 0) -> int:
    """The price of a call, each started nano-dollar counted: `ceil((in * p_in + out * p_out) / 10^6) + ms * p_ms`."""
    micro = input_tokens * price.input_nanousd_per_million_tokens
    micro += output_tokens * price.output_nanousd_per_million_tokens
    return -(-micro // MICRO) + compute_ms * price.nanousd_per_compute_ms


def expected_cost(price: Price, load: Load, output_tokens: int) -> int:
    """What one call with at most `output_tokens` of output will probably cost."""
    output = min(output_tokens, EXPECTED_OUTPUT_TOKENS)
    return money(price, load.input_tokens, output, expected_compute_ms(load, output))


def expected_compute_ms(load: Load, output_tokens: int) -> int:
    """Compute time that a call will probably take, in ms."""
    return (
        COMPUTE_MS_PER_CALL
        + COMPUTE_MS_PER_INPUT_TOKEN * load.input_tokens
        + COMPUTE_MS_PER_OUTPUT_TOKEN * output_tokens
    )


def least_ceiling(price: Price, load: Load, output_tokens: int) -> int:
    """The smallest ceiling under which a call with up to `output_tokens` of output may be made.

    Tokens count with their upper bound. Compute time has no bound before the call: it counts as expected, so for an
    offer that charges by time the ceiling is held by what is recorded after each attempt, not before the first.
    """
    return money(price, load.most_input_tokens, output_tokens, expected_compute_ms(load, output_tokens))


def most_cost(price: Price, load: Load, output_tokens: int, *, ceiling: int, read_timeout_ms: int) -> int:
    """The most that one attempt is taken to cost; never above `ceiling`.

    Tokens: their upper bound. Compute time: nobody waits longer than the read timeout, so that is its bound.
    """
    most = money(price, load.most_input_tokens, output_tokens, read_timeout_ms)
    return min(most, ceiling)


def affordable_tokens(price: Price, load: Load, ceiling: int) -> int | None:
    """How many tokens of output `ceiling` pays for, the prompt's own upper bound taken off first.

    The brief's `int(budget / per_token)` forgot the prompt and took any model's price. Negative: not even the prompt
    can be paid. None: output is not charged.
    """
    per_token = price.output_nanousd_per_million_tokens
    per_ms_token = COMPUTE_MS_PER_OUTPUT_TOKEN * price.nanousd_per_compute_ms
    left = ceiling - expected_compute_ms(load, 0) * price.nanousd_per_compute_ms
    left_micro = left * MICRO - load.most_input_tokens * price.input_nanousd_per_million_tokens
    whole = per_token + per_ms_token * MICRO
    if whole == 0:
        return None if left_micro >= 0 else -1
    return left_micro // whole


def _whole(value: Any) -> int | None:
    """A JSON number as a count: integral floats are integers to JSON Schema; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 0 and value == value // 1 else None
