"""What runs on a GPU needs no Spark: on a host that has only torch, transformers and peft, leave the conftest.py above
out (benchmarks/gpu/README.md says what else to bring):

    python -m pytest --confcutdir=tests/gpu -W default tests/gpu

GPU_TESTS=cpu tries the tests themselves where there is no GPU.
"""

import os

import pytest
import torch

from benchmarks.gpu.kit import Kit


@pytest.fixture(scope="session")
def device():
    wanted = os.environ.get("GPU_TESTS", "cuda")
    if wanted == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU, and there is none here")
    return wanted


@pytest.fixture(scope="session")
def kit(device, tmp_path_factory):
    """For the tiny model. What is measured here is no figure, so the peak does not matter."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # threads only get into each other's way in matrices this small
    yield Kit.on(device, tmp_path_factory.mktemp("models"), peak=1e12, seconds=1.0)
    torch.set_num_threads(before)
