"""A ruling with the case that it is about and the view that it was made from. A value."""

from datetime import datetime

from router.case import Case
from router.ruling import Ruling
from router.view import View
from schemas.values import frozen


@frozen
class Ruled:
    """What was decided about a case at its `decided_at`."""

    case: Case
    ruling: Ruling
    view: View

    def still_holds(self, view: View, now: datetime) -> bool:
        """Whether to decide again, at `now` from `view`, would give the same ruling: to its last byte, for a replay
        decides at the instant that the record tells."""
        sure_until = self.ruling.sure_until
        return sure_until is not None and now < sure_until and view.decides_as(self.view)
