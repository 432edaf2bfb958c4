"""The instruction tuning job on two executors, which divide all weights of the model between them, to its end though
one of them is lost."""

import threading
from pathlib import Path

from tests.cluster.test_lost_tasks import kill_executor
from tests.rank_processes import rank_processes, wait_for_checkpoint

JOB = Path(__file__).parents[2] / "jobs" / "instruct.py"
SECONDS = 900
MIXTURE = """
few_shot: [0, 1]
sources:
  - table: {folder}/tones
    key: id
    answers: tone
    task: {{kind: classification, name: tone, inputs: [text], labels: [calm, angry]}}
  - table: {folder}/lengths
    key: id
    answers: length
    held_out: true
    task: {{kind: classification, name: length, inputs: [text], labels: [short, long]}}
"""


def test_a_model_that_executors_divide_is_trained_to_its_end_though_one_is_lost(
    spark, cluster, tiny_model, tmp_path, new_mlflow_store, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", new_mlflow_store(tmp_path))
    for name, column in (
        ("tones", "if(id % 2 = 0, 'calm', 'angry') AS tone"),
        ("lengths", "'short' AS length"),
    ):
        spark.sql(
            f"CREATE TABLE delta.`{tmp_path}/{name}` USING DELTA AS SELECT id, {column}, "
            f"concat(if(id % 2 = 0, 'oooo ', 'xxxx '), id) AS text FROM range(300)"
        )
    file, runs, said = tmp_path / "mixture.yaml", tmp_path / "runs", tmp_path / "said"
    file.write_text(MIXTURE.format(folder=tmp_path))
    job = cluster.start(
        JOB, "--mixture", file, "--registered-name", "labeler", "--base", tiny_model, "--parameters", "all",
        "--batch-size", "4", "--judge-rows", "20", "--num-processes", "2", "--checkpoints", runs,
        "--checkpoint-minutes", "1e-9", "--no-use-gpu", conf=(), said=said,
    )  # fmt: skip

    def kill():
        wait_for_checkpoint(runs)
        kill_executor(cluster.folder / "forty")

    threading.Thread(target=kill, daemon=True).start()
    assert job.wait(SECONDS) == 0, said.read_text()
    assert "2 processes, 2 attempts" in said.read_text()
    assert "length (not taught): " in said.read_text()
    assert "as models:/labeler/1" in said.read_text()
    assert (rank_processes(), [one.name for one in runs.iterdir() if "packs-" not in one.name]) == ({}, [])
