"""The names and signatures that users have been promised."""

import inspect
import subprocess
import sys
from typing import get_overloads

import pytest

import sparklabel as sl

DEFAULT = "smollm2-135m-instruct"
PROMISED = {
    "classification": lambda name, inputs, labels, instructions="", examples=None: ...,
    "multilabel": lambda name, inputs, labels, instructions="", examples=None, *, prior=None: ...,
    "matching": lambda name, left, right, instructions="", examples=None, *, prior=None: ...,
    "rating": lambda name, inputs, scale, instructions="", examples=None, *, prior=None: ...,
    "extraction": lambda name, inputs, fields, instructions="", examples=None: ...,
    "entities": lambda name, inputs, types, instructions="", examples=None: ...,
    "answering": lambda name, question, context, instructions="", examples=None, *, extractive=False: ...,
    "generation": lambda name, inputs, instructions, examples=None, *, fields=None, max_tokens=256: ...,
    "load_task": lambda path: ...,
    "label_udf": lambda task, model=DEFAULT, engine="auto", *, min_confidence=0.0, **options: ...,
    "register": lambda spark, task, model=DEFAULT, *, name=None: ...,
    "register_all": lambda spark, folder, model=DEFAULT, engine="auto": ...,
    "label_table": lambda spark, table, task, *, key=None, model=DEFAULT, engine="auto", where=None, relabel="task",
    column=None, adopt=False, dry_run=False: ...,
    "label_stream": lambda spark, table, task, *, key=None, checkpoint, model=DEFAULT, engine="auto": ...,
    "finetune": lambda spark, table, task, *, key=None, column=None, into=None, base=DEFAULT, registered_name=None,
    config=None, num_processes=1: ...,
    "evaluate": lambda spark, table, task, *, gold=None, key=None, column=None, into=None, model=DEFAULT,
    engine="auto": ...,
    "benchmark": lambda suite, *, models=(DEFAULT,), answers=(0,), data=None, only=None, rows=1000: ...,
    "calibrate": lambda spark, table, task, *, key=None, column=None, into=None, model=None: ...,
    "cache_summary": lambda spark, table: ...,
    "clear_cache": lambda spark, table, task=None: ...,
    "answers": lambda spark, table, task, *, key=None, column=None, into=None: ...,
    "review": lambda spark, table, task, *, key=None: ...,
    "agreement": lambda spark, table, task, *, key=None, column=None, into=None, answers=None: ...,
    "suspicious": lambda spark, table, task, *, key=None, column=None, into=None, n=100: ...,
    "failures": lambda spark, table, task, *, key=None, column=None, into=None: ...,
    "open_table": lambda spark, table, task, *, key=None, column=None, into=None: ...,
    "passes": lambda spark, table: ...,
    "restore_answers": lambda spark, table, task, *, column=None, from_version=None, dry_run=False: ...,
    "tidy": lambda spark, table, *, into=None, staging=None, cache=None,
    allow_unsafe_store=False: ...,
    "submit": lambda call, *, search=None, name=None, priority=0, max_retries=3, queue=None: ...,
    "work": lambda spark, *, queue=None, parallel=None: ...,
    "runs": lambda name=None, *, queue=None: ...,
    "compare_runs": lambda name, folder=".", *, queue=None: ...,
    "cancel_run": lambda name, *, queue=None: ...,
    "retry_run": lambda name, *, queue=None: ...,
    "source": lambda table, task, *, key=None, answers=None, column=None, into=None, weight=1.0, max_rows=None,
                     held_out=False: ...,
    "mixture": lambda sources, *, cap=20_000, temperature=1.0, few_shot=(0, 4), seed=0: ...,
    "load_mixture": lambda path: ...,
    "instruction_tune": lambda spark, mixture, *, registered_name, base=DEFAULT, config=None, judge_rows=200,
                               num_processes=1, min_processes=None, use_gpu=None, checkpoints=None,
                               checkpoint_minutes=10.0, experiment="sparklabel", progress=True: ...,
    "grid": lambda: ...,
    "tpe": lambda *, trials, seed=0: ...,
    "undo_pass": lambda spark, table, pass_id: ...,
    "spark_session": lambda conf=None: ...,
}  # fmt: skip


def test_the_public_names_are_the_promised_ones():
    verbs = set(PROMISED)
    records = {
        "BenchmarkReport",
        "PassReport",
        "CalibrationReport",
        "TrainingConfig",
        "TidyReport",
        "TrainingReport",
        "EvaluationReport",
        "RestoreReport",
        "UndoReport",
        "Task",
        "Label",
        "LabeledTable",
        "Grid",
        "Tpe",
        "QueuedRun",
        "RunComparison",
        "ReviewApp",
        "ReviewReport",
        "AgreementReport",
        "QueuedRuns",
        "InstructionReport",
        "Mixture",
        "Source",
    }
    options = {"FakeOptions", "OpenAIOptions", "TransformersOptions", "VllmOptions"}
    assert set(sl.__all__) == verbs | records | options | {"DEFAULT", "SparklabelError"}


@pytest.mark.parametrize("name", sl.__all__)
def test_each_public_name_resolves_and_is_documented(name):
    found = getattr(sl, name)
    assert found == DEFAULT if name == "DEFAULT" else inspect.getdoc(found)


@pytest.mark.parametrize("name", PROMISED)
def test_a_public_function_takes_what_was_promised(name):
    promised = list(inspect.signature(PROMISED[name]).parameters.values())
    actual = inspect.signature(getattr(sl, name)).parameters
    found = [actual.get(parameter.name) for parameter in promised]
    assert [(p.name, p.kind, p.default) for p in found if p] == [
        (p.name, p.kind, p.default) for p in promised
    ]


@pytest.mark.parametrize("name", PROMISED)
def test_what_was_not_promised_has_a_default_and_does_not_move_the_positions(name):
    promised = list(inspect.signature(PROMISED[name]).parameters.values())
    actual = list(inspect.signature(getattr(sl, name)).parameters.values())
    positional = [p.name for p in promised if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in actual[: len(positional)]] == positional
    extra = [p for p in actual if p.name not in {q.name for q in promised} and p.kind is not p.VAR_KEYWORD]
    assert all(p.default is not p.empty for p in extra)


def test_the_result_types_are_promised():
    returned = {name: inspect.signature(getattr(sl, name)).return_annotation for name in PROMISED}
    tasks = {name for name, kind in returned.items() if kind is sl.Task}
    assert tasks == {
        "classification", "multilabel", "matching", "rating", "extraction", "entities", "answering", "generation",
        "load_task",
    }  # fmt: skip
    assert (returned["finetune"], returned["evaluate"]) == (sl.TrainingReport, sl.EvaluationReport)
    kinds = [inspect.signature(kind).return_annotation for kind in get_overloads(sl.label_table)]
    assert kinds == [sl.PassReport, list[sl.PassReport]], "of one task, and of several"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="classify"):
        _ = sl.classify


def test_importing_the_package_loads_no_heavy_library():
    program = (
        "import sys, sparklabel; from sparklabel import classification, load_task, Label, TrainingConfig; "
        "print(sorted({'torch', 'transformers', 'pyspark', 'mlflow'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["key", "column", "into", "dry_run", "mx_rows"])
@pytest.mark.parametrize("method", ["label", "dry_run"])
def test_a_method_of_a_table_refuses_what_open_table_was_given(method, name):
    task = sl.classification("verdict", "text", ["fresh", "rotten"])
    table = sl.LabeledTable(None, "t", task)
    with pytest.raises(sl.SparklabelError, match=f"^{method} has no argument '{name}'"):
        getattr(table, method)(**{name: "x"})
