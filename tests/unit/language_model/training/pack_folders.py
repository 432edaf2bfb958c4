"""A folder of packs for trainings of the tiny model, the same in every call."""

from pathlib import Path

import numpy as np

from sparklabel.language_model.training.packs import MANIFEST, PackFolder, PackManifest, Piece, write_packs

SIZE = 64


def pack_folder(folder: Path) -> PackFolder:
    """Three files of forty pieces of random letters."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    pieces = [
        Piece(
            tuple(random.integers(1, 250, size=random.integers(5, 30)).tolist()),
            (*random.integers(1, 250, size=random.integers(1, 5)).tolist(), 0),
            number % 3,
        )
        for number in range(120)
    ]
    files = [write_packs(folder / f"part-{n:05}.arrow", pieces[40 * n : 40 * n + 40], SIZE) for n in range(3)]
    (folder / MANIFEST).write_text(PackManifest(SIZE, tuple(files), (40, 40, 40)).to_json())
    return PackFolder(folder)
