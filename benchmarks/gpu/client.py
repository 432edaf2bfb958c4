"""One of the clients of part `server`, in a process of its own: python -m benchmarks.gpu.client FOLDER NUMBER

Reads `asked` (a pickled Asked) in the folder. Says `ready` once the engine's process has answered it, then asks again
and again: until the process died once, another was found or started, and that answered some times. Writes the first
and the last scores to `NUMBER.npz`, and says as JSON what happened. Like a Spark worker, it imports no torch.
"""

import json
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparklabel.engines import ScoringRequest
from sparklabel.engines.server import ServingSpec, connect
from sparklabel.errors import EngineDied

_ENOUGH = 3
"""Answers of the second process."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is served, where, for which process, and each client's rows."""

    served: ServingSpec
    home: Path
    owner: int
    requests: tuple[ScoringRequest, ...]


def main(folder: Path, number: int) -> None:
    asked: Asked = pickle.loads((folder / "asked").read_bytes())
    request = asked.requests[number]
    engine = connect(asked.served, home=asked.home, owner=asked.owner)
    first = last = engine.score(request)
    print("ready", flush=True)
    deaths, answers, away = 0, [1, 0], 0.0
    while answers[1] < _ENOUGH:
        try:
            last = engine.score(request)
            answers[min(deaths, 1)] += 1
        except EngineDied:
            deaths, begun = deaths + 1, time.perf_counter()
            engine = connect(asked.served, home=asked.home, owner=asked.owner)
            away += time.perf_counter() - begun
    np.savez(folder / f"{number}.npz", first=first, last=last)
    told: dict[str, Any] = {"deaths": deaths, "answers": answers, "seconds without": away}
    print(json.dumps(told | {"torch": "torch" in sys.modules}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
