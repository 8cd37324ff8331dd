"""A policy file: routing policies of tenants as YAML or JSON, read with the line of whatever is wrong in it.

    policies:
      - policy: brief/1              # of everybody who has none of their own
        parameters: {cheap_below: 0.35}
      - tenant: acme
        policy: cheapest/1

A file of one policy may leave out the list: `policy: cheapest/1`.
"""

from datetime import UTC, datetime
from typing import Any

import yaml
from pydantic import ValidationError

from router.policies import BadPolicy, made
from schemas.policies import PolicySet

MOST_BYTES = 262_144
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_LIST = "policies"
_FIELDS = ("tenant", "policy", "parameters", "removed")

Place = tuple[int | str, ...]
Lines = dict[Place, int]
"""Where each value of the document stands; lines count from 1."""


class BadPolicyFile(ValueError):
    """A policy file that is refused, whole. The message is `name:line: reason`."""


def read(text: str, name: str, *, at: datetime = BEGINNING, by: str = "") -> list[PolicySet]:
    """The policies of a file called `name`, said `at` and `by`. Raises `BadPolicyFile` for anything that is not wholly
    right: an unknown field, policy or parameter, an impossible value, a tenant told twice."""
    document, lines = _document(text, name)

    def refuse(place: Place, reason: str) -> BadPolicyFile:
        while place not in lines:
            place = place[:-1]
        return BadPolicyFile(f"{name}:{lines[place]}: {reason}")

    if not isinstance(document, dict):
        raise refuse((), "must be a policy, or a list of them under `policies`")
    one = _LIST not in document
    rows, start = ([document], ()) if one else (document[_LIST], (_LIST,))
    for key in () if one else document:
        if key != _LIST:
            raise refuse((str(key),), f"unknown field {str(key)[:64]!r}; there is: {_LIST}")
    if not isinstance(rows, list) or not rows:
        raise refuse((_LIST,), "must be a list of policies, and not empty")
    found: dict[str, PolicySet] = {}
    for number, row in enumerate(rows):
        place: Place = start if one else (*start, number)
        if not isinstance(row, dict):
            raise refuse(place, "must be a policy with its fields")
        for key in row:
            if key not in _FIELDS:
                raise refuse((*place, str(key)), f"unknown field {str(key)[:64]!r}; there are: {', '.join(_FIELDS)}")
        try:
            told = PolicySet.model_validate({**row, "at": at, "by": by})
            made(told.policy, told.parameters)
        except BadPolicy as error:
            raise refuse((*place, *error.where), str(error)) from None
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in fault["loc"])
            raise refuse((*place, *fault["loc"]), f"{where}: {fault['msg'].removeprefix('Value error, ')}") from None
        if told.tenant in found:
            raise refuse((*place, "tenant"), f"tenant {told.tenant} has a policy in this file already")
        found[told.tenant] = told
    return list(found.values())


def _document(text: str, name: str) -> tuple[Any, Lines]:
    size = len(text.encode(errors="replace"))
    if size > MOST_BYTES:
        raise BadPolicyFile(f"{name}:1: the file has {size} bytes; it may have {MOST_BYTES}")
    try:
        loader = yaml.SafeLoader(text)
        try:
            for event in yaml.parse(text, Loader=yaml.SafeLoader):
                if isinstance(event, yaml.AliasEvent):
                    raise BadPolicyFile(f"{name}:{_line(event.start_mark)}: aliases are not read")
            node = loader.get_single_node()
            if node is None:
                raise BadPolicyFile(f"{name}:1: the file is empty")
            lines: Lines = {}
            return _plain(loader, node, (), lines, name), lines
        finally:
            loader.dispose()
    except BadPolicyFile:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise BadPolicyFile(f"{name}:{_line(mark)}: no YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadPolicyFile(f"{name}:1: no YAML: {type(error).__name__}") from None


def _line(mark: yaml.error.Mark | Any) -> int:
    return 1 if mark is None else int(mark.line) + 1


def _plain(loader: yaml.SafeLoader, node: yaml.Node, place: Place, lines: Lines, name: str) -> Any:
    """A node's value, its line noted. A key told twice is refused: one of the two would be lost in silence."""
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_plain(loader, one, (*place, at), lines, name) for at, one in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        made_of: dict[str, Any] = {}
        for key, value in node.value:
            said = key.value if isinstance(key, yaml.ScalarNode) else ""
            if said in made_of:
                raise BadPolicyFile(f"{name}:{key.start_mark.line + 1}: {said[:64]!r} is told twice")
            made_of[said] = _plain(loader, value, (*place, said), lines, name)
            lines[*place, said] = key.start_mark.line + 1
        return made_of
    return loader.construct_object(node)
