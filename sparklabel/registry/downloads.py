"""Files of MLflow's artifact stores.

In: an artifact's URI. Out: a copy of it on this host, unchecked: who asked for it knows its hash.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sparklabel.errors import ModelError, ModelUnreachable
from sparklabel.registry.store import quieten

if TYPE_CHECKING:
    from mlflow.entities import FileInfo


def download(uri: str, to: Path, server: str) -> Path:
    """Copies a file or a folder into `to`. Raises ModelError if the store does not have it, ModelUnreachable if it
    cannot be downloaded now."""
    import mlflow.artifacts

    quieten()
    above, _, name = uri.rpartition("/")
    try:
        # Asked first: a tracking server's 404 comes out of the download as an internal error, like an outage.
        if name not in _names(mlflow.artifacts.list_artifacts(artifact_uri=above, tracking_uri=server)):
            raise ModelError(
                f"MLflow's artifact {uri} cannot be fetched: it does not exist in the store.",
                hint="Restore it in the store, or fine-tune again.",
            )
        return Path(
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(to), tracking_uri=server)
        )
    except ModelError:
        raise
    except Exception as error:  # each kind of store lets its own client's errors through
        raise ModelUnreachable(f"MLflow's artifact {uri} cannot be fetched: {error}", hint=_HINT) from error


_HINT = "Executors need a tracking server that serves artifacts, or a store on shared storage."


def _names(listed: "Iterable[FileInfo]") -> set[str]:
    return {file.path.rpartition("/")[2] for file in listed}
