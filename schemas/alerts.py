"""An alert: one crossing of one rule's threshold."""

from typing import Any, Literal

from pydantic import Field

from schemas.base import Contract, UtcInstant


class Alert(Contract):
    """One crossing of one rule, told once when it begins and once when it is over. On `novix.alerts.v1`, keyed by
    `alert_id`."""

    alert_id: str
    """Digest of rule, subject and crossing: the same crossing, found again after a crash, has the same id. Its end has
    the id of its beginning."""
    rule: str
    on: str
    state: Literal["firing", "resolved"] = "firing"
    severity: Literal["info", "warning", "critical"] = "warning"
    tenant: str | None = None
    subject: str
    """What it speaks of: a budget and its window, `provider/model`, a topic."""
    crossing: int = 1
    """Counts the crossings of this rule by this subject from 1."""
    value: float
    threshold: float
    unit: str
    message: str
    """One sentence for a person. Never content."""
    detail: dict[str, Any] = Field(default_factory=dict)
    webhook: bool = True
    """It is sent to the installation's webhook as well, if there is one."""
    at: UtcInstant
