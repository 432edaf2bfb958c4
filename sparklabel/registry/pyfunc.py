"""What MLflow loads of a registered version: a model whose `predict` answers as `label_udf` does, without Spark.

In: the folder of a version, as MLflow downloaded it; then DataFrames with the task's inputs. Out: label records as
DataFrames. The base model is looked up by what the version's manifest says of it; it is not in the folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from sparklabel.engines import engine_spec, open_engine
from sparklabel.labeler import Labeler, abstain_below, row_classifier
from sparklabel.labels.record import Label
from sparklabel.models.manifest import ModelManifest
from sparklabel.models.references import ResolvedModel
from sparklabel.registry.calibrators import find_calibrator
from sparklabel.registry.serving import downloaded_version, local_version
from sparklabel.registry.store import has_store
from sparklabel.tasks import task_from_dict
from sparklabel.tasks.json_values import json_text

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 10_000
"""Rows rendered at once, as many as in a batch of Spark's."""


def _load_pyfunc(path: str) -> "LabelingModel":
    """The entry point that MLflow looks up by name."""
    return LabelingModel(downloaded_version(Path(path)))


class LabelingModel:
    """A fine-tuned model with its task, loaded in this process. Threads that call `predict` take turns.

    The calibrator is the newest one in the MLflow store when the model is loaded. Without a calibrator or a store,
    `confidence` equals `raw_confidence`, the model's own probability.
    """

    def __init__(self, model: ResolvedModel) -> None:
        manifest = ModelManifest.from_json(model.manifest)
        assert manifest.task is not None, "a version for any task has no such flavor"
        self.task = task_from_dict(manifest.task)
        self._model, self._manifest, self._turn = model, manifest, Lock()
        fingerprint = manifest.task_fingerprint
        found = find_calibrator(model.identity, fingerprint) if has_store() else None
        self._calibrator = found.calibrator if found else None
        self._labeler = self._open()

    def predict(self, data: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Labels each row.

        Args:
            data: A column of texts for each input of the task; None and NaN are NULL.
            params: `min_confidence` in [0, 1]: an answer with less confidence gets no value and the status
                `uncertain`.

        Returns:
            The label record: a column for each field, a row for each row of `data`, with the same index. All columns
            are objects, so that NULL is None and becomes null in JSON. Dates in a value are text (YYYY-MM-DD).
        """
        import pandas as pd

        least = (params or {}).get("min_confidence", 0.0)
        rows = [
            [None if pd.isna(value) else str(value) for value in row]
            for row in data[list(self.task.inputs)].itertuples(index=False, name=None)
        ]
        records = [_record(abstain_below(label, least)) for label in self._label(rows)]
        return pd.DataFrame(records, index=data.index, columns=list(Label.__slots__), dtype=object)

    def _label(self, rows: list[list[str | None]]) -> list[Label]:
        with self._turn:
            if self._labeler.engine_lost:
                self._labeler = self._open()
            parts = (rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS))
            return [label for part in parts for label in self._labeler.label(part)]

    def _open(self) -> Labeler:
        model, manifest = self._model, self._manifest.classifier
        files = local_version(model, Path(model.location))
        spec = engine_spec("auto" if self._manifest.needs_language_model else "encoder", {})
        engine = open_engine(
            spec, model.identity, files.base, files.adapter, keeps_base=self._manifest.reads_states
        )
        classifier = (
            row_classifier(self.task, manifest, files.classifier, files.encoder, engine) if manifest else None
        )
        return Labeler(
            self.task, engine, model=model.identity, manifest=self._manifest, calibrator=self._calibrator,
            classifier=classifier,
        )  # fmt: skip


def _record(label: Label) -> dict[str, Any]:
    """The fields by name; nested ones as lists and dicts of JSON's types."""
    record = label.record()
    for name in ("alternatives", "field_confidence"):
        if record[name] is not None:
            record[name] = [_plain(part._asdict()) for part in record[name]]
    return record | {"value": _plain(record["value"])}


def _plain(value: Any) -> Any:
    return json.loads(json_text(value))
