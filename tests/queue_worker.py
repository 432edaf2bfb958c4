"""A worker of the queue of runs whose runs only count: `python -m tests.queue_worker QUEUE FOLDER SECONDS`.

Each run takes STEPS steps of so many seconds, and writes a checkpoint after each. What it does is noted in FOLDER: a
file a run, a line a step.
"""

import sys
import time
from pathlib import Path

from sparklabel import registry
from sparklabel.language_model import StepMetrics
from sparklabel.progress import log_to_stderr
from sparklabel.training.runs.capacity import Capacity
from sparklabel.training.runs.claims import WorkerQueue
from sparklabel.training.runs.worker import Worker

STEPS = 5
BEAT, GRACE = 1, 10  # a busy machine may stop a worker for some seconds, which is no death


def count(folder, seconds):
    """What a worker does for a run."""

    def execute(claimed, control):
        file = folder / claimed.run.name.replace("/", "-")
        with registry.start_run("", experiment="", run_id=claimed.run.mlflow_run) as run:
            done = len({line.split()[1] for line in file.read_text().splitlines()}) if file.exists() else 0
            for step in range(done + 1, STEPS + 1):
                time.sleep(seconds)  # the work
                with file.open("a") as lines:
                    lines.write(f"{claimed.run.attempts} {step}\n")
                control.step = StepMetrics(step, STEPS, 1, 0.5, 0.1, 1, 1.0)
                run.log_metrics({"loss": 1 / step}, step=step)
                control.end.check()
        return claimed.run.number / 100

    return execute


if __name__ == "__main__":
    log_to_stderr()
    queue = WorkerQueue(sys.argv[1], beat=BEAT, grace=GRACE)
    print(
        Worker(
            queue, count(Path(sys.argv[2]), float(sys.argv[3])), Capacity(lambda _: 8), keep_waiting=True
        ).run()
    )
