"""The examples in docstrings of what is public: those that need no session run, and the calls of the others fit."""

import ast
import doctest
import inspect
import re
from pathlib import Path

import pytest

import sparklabel as sl

PUBLIC = {name: getattr(sl, name) for name in sl.__all__ if callable(getattr(sl, name))}
WITH_EXAMPLE = {name: found for name, found in PUBLIC.items() if "Example:" in (inspect.getdoc(found) or "")}
VERBS = {name for name, found in PUBLIC.items() if inspect.isfunction(found)}


def lines_of(found):
    """The code of an example: a doctest's, or that of a fenced block."""
    _, _, text = inspect.getdoc(found).partition("Example:")
    if found := doctest.DocTestParser().get_examples(text):
        return "".join(example.source for example in found)
    return inspect.cleandoc(text.partition("```python")[2].partition("```")[0])


NEED_A_SESSION = {name for name, found in WITH_EXAMPLE.items() if re.search(r"\bspark\b", lines_of(found))}


@pytest.mark.parametrize("name", sorted(WITH_EXAMPLE.keys() - NEED_A_SESSION))
def test_the_example_of_a_name_runs_as_written(name, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    found = PUBLIC[name]
    names = vars(inspect.getmodule(found)) | {"sl": sl}
    (example,) = doctest.DocTestFinder(recurse=False).find(found, name, globs=names)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


@pytest.mark.parametrize("name", sorted(NEED_A_SESSION))
def test_the_calls_of_an_example_fit_the_signatures(name):
    calls = [
        call
        for call in ast.walk(ast.parse(lines_of(PUBLIC[name])))
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("sl.")
    ]
    assert calls
    for call in calls:
        signature = inspect.signature(getattr(sl, ast.unparse(call.func).removeprefix("sl.")))
        signature.bind(*call.args, **{one.arg: one.value for one in call.keywords})


def test_the_main_functions_have_an_example():
    assert VERBS - WITH_EXAMPLE.keys() <= {
        "answers", "cache_summary", "cancel_run", "clear_cache", "compare_runs", "failures", "label_stream", "passes",
        "restore_answers", "retry_run", "runs", "spark_session", "undo_pass",
    }  # fmt: skip
