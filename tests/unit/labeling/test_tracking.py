"""What a pass tells logs and MLflow while it works."""

import json
import logging

from sparklabel.labeling.stats import ChunkStats, PassStats
from sparklabel.labeling.tracking import track_pass
from sparklabel.registry import connect

# MLflow's models are not ready for SQLAlchemy 2.1.


def stats():
    done = PassStats()
    done.add(ChunkStats(answers=10, failed=1, prompt_tokens=200, output_tokens=5))
    return done


def test_each_chunk_is_a_json_line(request_of, caplog, monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO, "sparklabel.pass"), track_pass(request_of(pass_id="p1")) as tracker:
        tracker.chunk(stats(), 40)
    (line,) = [json.loads(record.message) for record in caplog.records if record.name == "sparklabel.pass"]
    assert tracker.run_id is None
    assert {name: line[name] for name in ("pass_id", "chunk", "inputs", "of", "failed", "prompt_tokens")} == {
        "pass_id": "p1", "chunk": 1, "inputs": 10, "of": 40, "failed": 1, "prompt_tokens": 200,
    }  # fmt: skip


def test_a_pass_is_a_run_if_there_is_a_store(request_of, store):
    with track_pass(request_of()) as tracker:
        tracker.chunk(stats(), 40)
        tracker.end({"labeled": 10, "cost": None})
    run = connect().get_run(tracker.run_id)
    assert (run.info.status, run.data.params["model"]) == ("FINISHED", "fake:m")
    assert (run.data.metrics["inputs"], run.data.metrics["labeled"]) == (10, 10)


def test_a_store_that_fails_meanwhile_fails_no_pass(request_of, store, caplog):
    with track_pass(request_of()) as tracker:
        connect().delete_run(tracker.run_id)
        tracker.end({"labeled": 10})
    assert "MLflow run is not complete" in caplog.text
