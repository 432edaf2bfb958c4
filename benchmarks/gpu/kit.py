"""What every part of the kit is given."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.device import Device
from benchmarks.gpu.models import Models


@dataclass(frozen=True, slots=True)
class Kit:
    """`peak`: FLOP/s of a large matrix product in the type that the models compute in. `seconds`: what a part should
    take for one model. `scratch`: a folder for models and logs, removed at the end."""

    device: Device
    models: Models
    scratch: Path
    peak: float
    seconds: float

    @classmethod
    def on(cls, device: str, scratch: Path, peak: float, seconds: float) -> "Kit":
        return cls(Device(device), Models(device, scratch), scratch, peak, seconds)
