"""A training to its end, whatever is lost on the way: here, or by ranks on executors, attempt after attempt.

In: a base, examples, who trains. Out: an adapter in a folder, and what the training did. A rank, a Python worker or an
executor that dies costs the steps since the newest checkpoint; a driver that dies too, as the same call finds them.
"""

import math
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.util import inheritable_thread_target

from sparklabel.delta.tagged_jobs import TaggedJobs
from sparklabel.errors import TrainingInterrupted
from sparklabel.language_model import StepMetrics, TrainingSummary
from sparklabel.language_model.training.checkpoints import Checkpoints
from sparklabel.language_model.training.loop import OnStep
from sparklabel.language_model.training.run_folder import ADAPTER, RunFolder
from sparklabel.progress import tell
from sparklabel.redaction import first_line
from sparklabel.termination import FirstInterrupt
from sparklabel.training.control import EndRequest
from sparklabel.training.launcher import RankResult, run_ranks
from sparklabel.training.processes import Processes, rank_slots
from sparklabel.training.records import Trained, Trainer, Training

_FRUITLESS = 3
"""So many attempts in a row that write no checkpoint end a training: what ends them will end the next one too."""
_LOOK_SECONDS, _WAITING_SECONDS, _ENDING_SECONDS = 0.5, 20.0, 60.0
_LAST_STEP_SECONDS = 15.0
"""How long ranks may go on after a request to end."""
_SLOT_SECONDS = 60.0
"""How long a lost executor is waited for, before fewer ranks go on."""


def train_here(training: Training, folder: Path, on_step: OnStep) -> Trained:
    """In this process, without checkpoints."""
    return Trained(training.run(folder, on_step))


def trainer(spark: SparkSession | None, processes: Processes, end: EndRequest) -> Trainer:
    """Who trains, as the user asked for. What it gives raises:

    TrainingInterrupted: Ranks were lost again and again, too few are left, or it was asked to end.
    ModelError: A rank failed, and says why.
    KeyboardInterrupt: Ctrl-C. With checkpoints, the first one ends the training after its current step.
    """

    def here(training: Training, folder: Path, on_step: OnStep) -> Trained:
        def step_taken(step: StepMetrics) -> None:
            on_step(step)
            end.check()

        return train_here(training, folder, step_taken)

    def train(training: Training, folder: Path, on_step: OnStep) -> Trained:
        assert spark, "several processes need a session"
        root = Path(processes.checkpoints or "")
        run = RunFolder.of(root, training.spec, training.examples, training.own)
        return _TrainingRun(spark, training, processes, run, _Watch(run, on_step), end).to_its_end(folder)

    return train if processes.checkpoints else here


@dataclass(slots=True)
class _Watch:
    """Tells each step of a run once, whichever attempt took it."""

    run: RunFolder
    on_step: OnStep
    steps: int = 0
    _lines: dict[int, int] = field(default_factory=dict)

    def look(self, attempt: int) -> None:
        """Tells the attempt's new steps."""
        lines = self.run.progress(attempt, self._lines.get(attempt, 0))
        self._lines[attempt] = self._lines.get(attempt, 0) + len(lines)
        for facts in lines:
            self.tell(StepMetrics(**facts))

    def tell(self, step: StepMetrics) -> None:
        if step.step > self.steps:
            self.steps = step.step
            self.on_step(step)


@dataclass(slots=True)
class _TrainingRun:
    """A training that has a folder."""

    spark: SparkSession
    training: Training
    processes: Processes
    run: RunFolder
    watch: _Watch
    end: EndRequest

    def to_its_end(self, folder: Path) -> Trained:
        """Trains, unless an earlier call has, and copies the adapter into `folder`."""
        self._tell_earlier()
        attempts = 0
        if self.run.done() is None:
            attempts = self._here() if self.processes.count == 1 else self._on_executors()
        done = self.run.done()
        if done is None:  # another driver has come to the end of the same training, and removed it
            raise TrainingInterrupted(
                f"{self.run.path} was removed while it was trained.", hint="Call again."
            )
        adapter, facts = done
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
        return Trained(TrainingSummary.from_dict(facts), max(attempts, 1), facts["world_size"], self.run.path)

    def _here(self) -> int:
        """In this process. Returns the number of attempts."""
        attempt, training = self.run.new_attempt(), self.training
        checkpoints = Checkpoints(self.run.path, attempt, self.processes.minutes)

        def on_step(step: StepMetrics) -> None:
            self.run.tell(attempt, step)
            self.watch.tell(step)
            if self.end.asked:
                checkpoints.ask_to_end()

        def say(line: str) -> None:
            checkpoints.ask_to_end()
            tell(line)

        with FirstInterrupt(say, "the current step", "finishing") as interrupt:
            try:
                summary = training.run(self.run.attempt(attempt) / ADAPTER, on_step, checkpoints)
                self.run.finish(attempt, asdict(summary) | {"world_size": 1})
            except TrainingInterrupted:
                if not (interrupt.heard or self.end.asked):
                    raise
        self._leave_if_asked(interrupt)
        return 1

    def _on_executors(self) -> int:
        """By ranks, attempt after attempt until one comes to its end. Returns the number of attempts."""
        count, attempts, fruitless = self.processes.count, 0, 0
        self.run.forget_too_large()
        while self.run.done() is None:
            attempt, before = self.run.new_attempt(), self._saved_steps()
            attempts += 1
            try:
                self._attempt(attempt, count)
            except TrainingInterrupted as lost:
                if self.run.done(attempt):  # all ranks had agreed on the adapter before it was saved
                    break
                if self.end.asked:
                    raise
                saved = self._saved_steps()
                if self.run.has_noted(attempt):
                    tell(
                        f"Memory did not suffice. The training goes on from step {saved}, with less at once."
                    )
                    continue
                fruitless = fruitless + 1 if saved <= before else 0
                if fruitless == _FRUITLESS:
                    raise TrainingInterrupted(
                        f"{lost.message} {_FRUITLESS} attempts in a row ended this way without a checkpoint.",
                        hint=f"{lost.hint} What was trained is kept in {self.run.path}: call again once the cause is "
                        "fixed.",
                    ) from lost
                count = self._count_left(lost)
                tell(f"{lost.message} The training goes on from step {saved} with {count} ranks.")
        return attempts

    def _attempt(self, attempt: int, count: int) -> None:
        """One barrier stage, in a thread of its own: this one tells the steps, and hears Ctrl-C."""
        jobs = TaggedJobs(self.spark, f"sparklabel-training-{self.run.path.name}-{attempt}")

        def stage() -> list[RankResult]:
            with jobs:
                return run_ranks(
                    self.spark, self.run, self.training.base, attempt, count,
                    minutes=self.processes.minutes, profile=self.processes.profile(self.spark),
                )  # fmt: skip

        def say(line: str) -> None:
            with suppress(OSError):  # where the folder cannot be written, the second signal ends it
                self.run.ask_to_end(attempt)
            tell(line)

        with (
            ThreadPoolExecutor(1, "sparklabel-ranks") as pool,
            FirstInterrupt(say, "the current step", "finishing") as interrupt,
        ):
            running = pool.submit(inheritable_thread_target(self.spark)(stage))
            try:
                self._follow(running, attempt, count, jobs)
                try:
                    running.result()
                finally:  # a rank that is lost leaves steps that were not looked at yet
                    self.watch.look(attempt)
            except TrainingInterrupted:
                if not (interrupt.heard or self.end.asked):
                    raise
            except BaseException as error:
                # The pool waits for the stage: it must not go on for hours while the error waits to be told.
                if isinstance(error, Exception) and not running.done():
                    say("the training ends after its current step, because of an error")
                    wait([running], _ENDING_SECONDS)
                jobs.stop()
                if not (interrupt.heard and isinstance(error, Exception)):
                    raise
                tell(first_line(error))
        self._leave_if_asked(interrupt)

    def _leave_if_asked(self, interrupt: FirstInterrupt) -> None:
        """Ends the call after Ctrl-C, SIGTERM or a request. What was trained stays, also where it had just come to its
        end."""
        self.end.check()
        if interrupt.heard:
            where = "at its end" if self.run.done() else f"at step {self._saved_steps()}"
            tell(f"the training is kept {where} in {self.run.path}: the same call goes on there")
            raise interrupt.exit

    def _follow(
        self, running: "Future[list[RankResult]]", attempt: int, count: int, jobs: TaggedJobs
    ) -> None:
        began, is_waiting, asked = time.monotonic(), True, math.inf
        while wait([running], _LOOK_SECONDS).not_done:
            self.watch.look(attempt)
            if self.end.asked and asked == math.inf:
                asked = time.monotonic()
                self.run.ask_to_end(attempt)
            if time.monotonic() - asked > _LAST_STEP_SECONDS:  # its step is too long to wait for
                jobs.stop()
                asked = time.monotonic()
            is_waiting = is_waiting and self.run.started(attempt) < count
            if is_waiting and time.monotonic() - began > _WAITING_SECONDS:
                tell(f"waiting for {count} free slots: other jobs have them, or an executor is gone")
                is_waiting = False

    def _count_left(self, lost: TrainingInterrupted) -> int:
        """How many ranks go on: all, if the slots come back; else as many as there are, but not too few."""
        began = time.monotonic()
        while (slots := rank_slots(self.spark, self.processes.on_gpus)) < self.processes.count:
            if time.monotonic() - began > _SLOT_SECONDS:
                break
            time.sleep(_LOOK_SECONDS)
        if slots < self.processes.least:
            raise TrainingInterrupted(
                f"{lost.message} Slots that are left: {slots}; min_processes={self.processes.least}.",
                hint=f"What was trained is kept in {self.run.path}: call again when there are more executors.",
            ) from lost
        return min(slots, self.processes.count)

    def _saved_steps(self) -> int:
        newest = Checkpoints(self.run.path).newest()
        return newest.step if newest else 0

    def _tell_earlier(self) -> None:
        """The steps that earlier calls took, so that this one's record is whole."""
        if saved := self._saved_steps():
            tell(f"the training goes on from step {saved}, which an earlier call reached ({self.run.path})")
        for attempt in self.run.attempts():
            self.watch.look(attempt)
