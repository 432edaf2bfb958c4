"""`work`: takes runs off the queue and trains them on a Spark session, until nothing waits.

In: a session, a queue. Out: runs at their end. `Worker` has the loop, `execute` what is done for a run.
"""

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.arguments import check_flags
from sparklabel.delta.session import check_session
from sparklabel.errors import SetupError
from sparklabel.training.processes import needs_gpus, rank_slots
from sparklabel.training.runs.capacity import MAX_AT_ONCE, Capacity
from sparklabel.training.runs.records import QueuedRuns
from sparklabel.training.runs.submit import open_worker_queue


def work(
    spark: SparkSession, *, queue: str | None = None, parallel: int | None = None, keep_waiting: bool = False
) -> QueuedRuns:
    """Takes runs off the queue and works at them until none waits that this cluster has room for.

    Any number of workers share a queue. Of the runs that wait the most urgent comes first, and no other passes it while
    it waits for slots. Runs of several processes train on executors, as many at once as slots suffice for; runs of one
    process train here, one after the other.

    After the first Ctrl-C or SIGTERM no run is begun, those under way end after their current step with a checkpoint,
    and wait again. What a worker that was killed had, another one takes over two minutes later.

    Args:
        spark: The session.
        queue: As in `submit`.
        parallel: At most so many runs at once. By default as many as the slots of the cluster suffice for.
        keep_waiting: Stay until all runs of the queue are at an end, also those of other workers, whose runs it takes
            over if they die.

    Returns:
        The runs that this call worked at, as they are now.

    Raises:
        SetupError: An argument is out of its range, the queue or MLflow does not answer at the beginning, or the
            session ends meanwhile.

    Example:
        ```python
        for run in sl.work(spark, queue="sqlite:////shared/runs.db"):
            print(run)
        ```
    """
    from sparklabel.training.runs.execution import execute
    from sparklabel.training.runs.worker import Worker

    if parallel is not None and (type(parallel) is not int or not 1 <= parallel <= MAX_AT_ONCE):
        raise SetupError(f"parallel={parallel!r} is not a whole number from 1 to {MAX_AT_ONCE}.")
    check_flags(SetupError, keep_waiting=keep_waiting)
    check_session(spark)
    registry.connect()
    with open_worker_queue(queue) as opened:
        return Worker(
            opened,
            lambda claimed, control: execute(spark, claimed, control),
            Capacity(lambda submission: rank_slots(spark, needs_gpus(spark, submission.use_gpu)), parallel),
            keep_waiting=keep_waiting,
            spark=spark,
        ).run()
