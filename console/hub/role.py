"""What `novix eval` and `novix bench models` read and write. Alone here, so that who draws the topology loads none of
their libraries."""

from runtime.shell import Role
from schemas.topics import EVALS, JOBS, RESULTS

ROLE = Role(
    name="measuring", title="novix eval and novix bench models", group="", receives=RESULTS, sends=(JOBS, EVALS),
    follows=(EVALS,),
)  # fmt: skip
