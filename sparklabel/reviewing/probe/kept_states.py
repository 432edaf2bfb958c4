"""Hidden states that a pass has kept (`label_table(features=True)`), brought from the table to the probe.

In: the table's side, a probe, the rows of a review. Out: the probe knows them. In parts, between which the table's side
serves people.
"""

from asyncio import wrap_future
from collections.abc import Sequence

from sparklabel.errors import SparklabelError
from sparklabel.progress import tell
from sparklabel.reviewing.table.sides import ProbeSide, TableSide

_AT_ONCE = 1_000


async def tell_kept_states(table: TableSide, probe: ProbeSide, task: str, hashes: Sequence[str]) -> None:
    """Tells the probe what is kept of these inputs, which it knows. If it cannot be read, the probe does without, and
    the log says why."""
    try:
        model = await wrap_future(table.hidden_states_model(task))
        if not model:
            return
        parts = [hashes[first : first + _AT_ONCE] for first in range(0, len(hashes), _AT_ONCE)]
        for number, part in enumerate(parts):
            states = await wrap_future(table.hidden_states(task, model, part))
            probe.tell_hidden_states(model, states, is_last=number == len(parts) - 1)
    except SparklabelError as error:
        tell(f"the features that a pass has kept could not be read: {error.message}")
