"""One candidate of a search: trained on four fifths of the training answers, judged on the rest.

In: a call with the candidate's settings. Out: its accuracy on the validation answers. Nothing is registered, and the
held-out answers are not asked: they judge the one that was chosen, once.
"""

import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

from sparklabel import registry
from sparklabel.errors import AnswersError
from sparklabel.splits import VALIDATION_SHARE
from sparklabel.training.call import FinetuneCall
from sparklabel.training.control import RunControl
from sparklabel.training.held_out import HeldOutJudge
from sparklabel.training.inputs import FinetuneInputs
from sparklabel.training.selection import MIN_VALIDATION, train_student

METRIC = "validation_accuracy"


def judge_candidate(spark: SparkSession, call: FinetuneCall, control: RunControl) -> float:
    """The candidate's accuracy on the validation answers, in [0, 1]; of ratings and written answers their agreement.

    Raises:
        AnswersError: There are too few answers to search with.
        SparklabelError: What `finetune` raises; TrainingInterrupted, too, when it was asked to end.
    """
    whole = FinetuneInputs.read(spark, call)
    inputs = whole.for_search(control.run_id or "")
    answers = inputs.answers
    if len(answers.held_out) < MIN_VALIDATION or not answers.train:
        raise AnswersError(
            f"{inputs.table.target.name} has {len(whole.answers.train):,} answers to learn from, and "
            f"{VALIDATION_SHARE:.0%} of their inputs must judge the candidates of a search, at least "
            f"{MIN_VALIDATION}.",
            hint="Answer more rows, or fine-tune without a search.",
        )
    with (
        registry.start_run(call.task.name, experiment=call.experiment, run_id=control.run_id) as run,
        tempfile.TemporaryDirectory() as tmp,
    ):
        inputs.log(run)
        student = train_student(spark, inputs, run, control, Path(tmp))
        control.check_ours()
        judge = HeldOutJudge(call.task, inputs.base, answers, inputs.registered_name, inputs.examples)
        with registry.unregistered_version(Path(tmp)) as candidate:
            accuracy = judge.accuracy(candidate)
        run.log_metrics(
            {
                METRIC: accuracy,
                "validation_answers": len(answers.held_out),
                "probe_accuracy": student.probe_accuracy,
            }
        )
        control.at_the_end(student.remove)
        return accuracy
