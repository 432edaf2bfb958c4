"""The type that a model computes in where nobody says which."""

import pytest
import torch

from sparklabel.language_model import model

CPUS = {
    "with AMX": (True, True, True, torch.bfloat16),
    "AMD's with AVX512-BF16": (False, True, False, torch.bfloat16),
    "Intel's with AVX512-BF16 alone": (False, True, True, torch.float32),
    "with neither": (False, False, False, torch.float32),
}


@pytest.mark.parametrize("cpu", CPUS)
def test_cpu_computes_in_the_faster_type(cpu, monkeypatch):
    has_amx, has_avx512_bf16, is_intel, expected = CPUS[cpu]
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: has_avx512_bf16)
    monkeypatch.setattr(model, "_is_made_by_intel", lambda: is_intel)

    assert model.best_dtype("cpu") is expected
