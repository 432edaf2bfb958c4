"""The type that a model computes in where nobody says which."""

import pytest
import torch

from sparklabel import machine
from sparklabel.language_model.model import best_dtype

CPUS = {
    "with AMX": ("GenuineIntel", "avx512_bf16 amx_bf16", torch.bfloat16),
    "AMD's with AVX512-BF16": ("AuthenticAMD", "avx512_bf16", torch.bfloat16),
    "Intel's with AVX512-BF16 alone": ("GenuineIntel", "avx512f avx512_bf16", torch.float32),
    "with neither": ("AuthenticAMD", "avx2", torch.float32),
}


@pytest.mark.parametrize("cpu", CPUS)
def test_a_cpu_computes_in_the_type_that_is_faster_there(cpu, monkeypatch):
    vendor, flags, expected = CPUS[cpu]
    monkeypatch.setattr(machine, "_cpu_info", lambda: f"vendor_id\t: {vendor}\nflags\t\t: fpu {flags}\n")
    assert best_dtype("cpu") is expected


def test_a_system_that_does_not_describe_its_cpu_computes_in_float32(monkeypatch):
    monkeypatch.setattr(machine, "_cpu_info", lambda: "")
    assert best_dtype("cpu") is torch.float32
