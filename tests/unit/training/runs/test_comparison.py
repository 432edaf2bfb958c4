"""The page and the picture that compare a submission's runs."""

import base64
import re

import pytest
from mlflow import MlflowClient

import sparklabel as sl
from sparklabel import registry
from sparklabel.errors import SetupError
from sparklabel.training.runs.capacity import Admission

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def worked(submit, queue):
    """A search of which two candidates are complete, one failed, and the final run waits."""
    runs = submit(search=sl.grid(learning_rate=[1e-5, 1e-4, 1e-2]), name="rates")
    for run, accuracy in zip(runs[:3], (0.5, 0.9, None), strict=True):
        claimed = queue.claim(lambda _: Admission.TAKE, "host:1")
        with registry.start_run("", experiment="", run_id=run.mlflow_run) as logged:
            for step in range(1, 4):
                logged.log_metrics({"loss": 1 / step}, step=step)
        if accuracy is None:
            queue.fail(claimed, "<b>NaN</b>", retry=False)
        else:
            queue.complete(claimed, accuracy)


def test_the_page_needs_no_other_file_and_marks_the_best_run(worked, address, tmp_path):
    found = sl.compare_runs("rates", tmp_path, queue=address)
    page = found.page.read_text("utf-8")
    assert found.best.name == "rates/2"
    [best] = re.findall(r"<tr class=best>.*?</tr>", page)
    assert "rates/2" in best
    assert "0.900" in best
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    [image] = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(image) == found.picture.read_bytes()
    assert found.picture.read_bytes().startswith(PNG)


def test_texts_of_errors_are_escaped(worked, address, tmp_path):
    page = sl.compare_runs("rates", tmp_path, queue=address).page.read_text("utf-8")
    assert "&lt;b&gt;NaN&lt;/b&gt;" in page


def test_both_are_kept_with_the_submissions_mlflow_run(worked, address, tmp_path, queue):
    sl.compare_runs("rates", tmp_path, queue=address)
    kept = MlflowClient().list_artifacts(queue.submission("rates").mlflow_run)
    assert {file.path for file in kept} == {"comparison.html", "comparison.png"}


def test_a_search_that_nobody_has_worked_at_can_be_looked_at(submit, address, tmp_path):
    submit(name="new", search=sl.grid(rank=[4, 8]))
    found = sl.compare_runs("new", tmp_path, queue=address)
    assert (found.best, found.picture.read_bytes()[:8]) == (None, PNG)
    assert "no candidate is complete yet" in str(found)


def test_a_single_training_has_no_candidates(submit, address, tmp_path):
    submit(name="new")
    assert str(sl.compare_runs("new", tmp_path, queue=address)).startswith("new/1 run: waiting\n")


def test_one_run_is_no_comparison(submit, address, tmp_path):
    submit(name="new")
    with pytest.raises(SetupError, match="a comparison is of a submission"):
        sl.compare_runs("new/1", tmp_path, queue=address)


def test_a_folder_that_is_not_there_is_named(submit, address, tmp_path):
    submit(name="new")
    with pytest.raises(SetupError, match="nowhere"):
        sl.compare_runs("new", tmp_path / "nowhere", queue=address)
