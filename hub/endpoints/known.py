"""What the controller knows: endpoints and quotas as the topics tell them, and as its own work has made them since."""

from pydantic import ValidationError

from hub.endpoints.machine import GONE
from hub.endpoints.waiting import Waiting
from runtime.ports import LogReader, Record
from schemas.endpoints import EndpointQuota, EndpointState
from schemas.topics import ENDPOINT_QUOTAS, ENDPOINTS


class Known:
    """The state is in `states`, by `namespace/name`; `told` is the same as the topic has it. One owner: the loop."""

    def __init__(self) -> None:
        self.owner = False
        """This process carries out the orders: what it has in memory is the newest."""
        self.states: dict[str, EndpointState] = {}
        self.told: dict[str, EndpointState] = {}
        self.quotas: dict[str, EndpointQuota] = {}
        self.waiting = Waiting()
        self.unsure: set[str] = set()
        """Whose creation was told as failed without a clear answer: it may be there, and cost, all the same."""

    def fold_state(self, record: Record) -> None:
        """Take in one record of `novix.endpoints.v1`; one that cannot be read changes nothing. Who does not own the
        orders knows nothing else; the owner wrote it, and may know more by now."""
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self.told.pop(key, None)
            if not self.owner:
                self.states.pop(key, None)
            return
        try:
            state = EndpointState.model_validate_json(record.value)
        except ValidationError:
            return
        self.told[state.spec.key] = state
        if not self.owner or state.spec.key not in self.states:
            self.states[state.spec.key] = state
            self.waiting.begin(state.spec.name, state.measured)

    def fold_quota(self, record: Record) -> None:
        """Take in one record of `novix.endpoints.quotas.v1`; one that cannot be read changes nothing."""
        tenant = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            self.quotas.pop(tenant, None)
            return
        try:
            quota = EndpointQuota.model_validate_json(record.value)
        except ValidationError:
            return
        self.quotas[quota.tenant] = quota

    async def take_over(self, log: LogReader) -> None:
        """Own the orders from here on, knowing all that their last owner told: what is followed may be behind it."""
        self.owner = False
        for topic, fold in ((ENDPOINTS, self.fold_state), (ENDPOINT_QUOTAS, self.fold_quota)):
            for partition in range(await log.partitions(topic.name)):
                first, end = await log.bounds(topic.name, partition)
                async for record in log.read(topic.name, partition, first, end):
                    fold(record)
        self.unsure = {key for key, state in self.states.items() if was_not_answered(state)}
        self.owner = True


def was_not_answered(state: EndpointState) -> bool:
    """Whether nobody knows that it is not there: the last order was to make it, and the management API gave none of the
    answers that say what became of that."""
    return state.status in GONE and state.last_outcome == "failed"
