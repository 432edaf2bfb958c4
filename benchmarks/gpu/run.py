"""The GPU kit: python -m benchmarks.gpu.run [--only scoring] [--models 1b,8b,embedded] [--out FILE.json]

Measures sparklabel on one GPU, without Spark, MLflow or a network; README.md says what each figure means. Each part
runs in a process of its own, so that one which dies, hangs or spoils the GPU's state takes no other with it, and has a
deadline of its own. Ends with one table; the exit code is 1 where a part failed. `--device cpu --tiny` tries the kit
itself, in seconds.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.gpu import needs
from benchmarks.gpu.table import CUT, FAILED, SKIPPED, Line, records, table

PARTS = {"scoring": 0.3, "generation": 0.15, "training": 0.2, "agreement": 0.13, "server": 0.22}
"""And the share of the time that each may take."""
LETTERS = dict(zip("abcde", PARTS, strict=True))
MODELS = ("1b", "8b", "embedded")
_MINUTES, _TINY_MINUTES = 6.5, 20.0
"""For all parts; starting their processes comes on top. The tiny model needs one; CI's machines are busy."""
_TINY_SECONDS = 2.0
"""What a part should take for the tiny model, whatever it may take: its speed is no figure."""
_GRACE = 15.0
"""Seconds to clean up in after the deadline. A process that hangs in the driver cannot, and is killed."""
_STARTING = 150.0
"""Until a process works: in a host that has just started, the first import of torch reads gigabytes."""
_MACHINE_SECONDS = 60.0


def main() -> None:
    arguments, begun = _arguments(), time.monotonic()
    signal.signal(signal.SIGTERM, _stop)
    with scratch_folder() as scratch:
        if arguments.wheels:
            needs.add_wheels(arguments.wheels, scratch / "packages")
        needs.check(arguments.models)
        # Asking the hub for what is not there costs minutes in a host without a network.
        os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        run = Run(arguments, scratch)
        try:
            run.all()
        except KeyboardInterrupt:
            run.add(Line(run.part, "", "", status=CUT, note="stopped by hand"))
    took = time.monotonic() - begun
    print(f"\n{run.described()}\n\n{table(run.lines)}\n\n{took:.0f} seconds", flush=True)
    if arguments.out:
        found = run.facts | {"seconds": took, "lines": records(run.lines)}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(any(line.status == FAILED for line in run.lines))


class Run:
    """The parts, one after another. `lines` are what came so far, `facts` describe the machine, `part` is being
    measured."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path) -> None:
        self._arguments, self._scratch = arguments, scratch
        # A forked process starts at once, but cannot use a GPU if anything imported here has touched the driver.
        self._context = multiprocessing.get_context("fork" if arguments.device == "cpu" else "spawn")
        self.lines: list[Line] = []
        self.facts: dict[str, Any] = {}
        self.part = "machine"

    def all(self) -> None:
        if self._arguments.device == "cpu":
            self._preload()
        self.facts = dict(self._told("machine", _machine, (self._arguments.device,), _MACHINE_SECONDS))
        if "peak_flops" not in self.facts:
            return
        print(self.described(), flush=True)
        for part in self._arguments.only:
            self.part, seconds = part, 60 * self._arguments.minutes * PARTS[part]
            given = (part, self._arguments, self._scratch, self.facts["peak_flops"], seconds)
            for line in self._told(part, _measure, given, seconds):
                self.add(line)

    def _preload(self) -> None:
        """What forked processes need is imported once."""
        for part in self._arguments.only:
            import_module(f"benchmarks.gpu.{part}")

    def add(self, line: Line) -> None:
        print(line, flush=True)
        self.lines.append(line)

    def _told(self, part: str, work: Any, given: tuple[Any, ...], seconds: float) -> Iterator[Any]:
        """What a process of its own says while it works; adds a line where that did not come to its end."""
        print(f"--- {part}, {seconds:.0f} seconds at most", flush=True)
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_entry, args=(theirs, work, given))
        process.start()
        theirs.close()
        until = time.monotonic() + _STARTING + seconds + _GRACE
        try:
            while ours.poll(max(0.0, until - time.monotonic())):
                yield ours.recv()
        except EOFError:
            process.join(_GRACE)
        finally:
            hung = _end(process)
        if hung or process.exitcode:
            why = "it hung and was killed" if hung else f"its process ended with {process.exitcode}"
            self.add(Line(part, "", "", status=FAILED, note=why))

    def described(self) -> str:
        """The machine in a paragraph."""
        rate = self.facts.get("peak_flops", 0.0) / 1e12
        return f"{self.facts.get('described', '')}\n{rate:.4g} TFLOP/s in a large {self.facts.get('dtype')} product"


def _end(process: Any) -> bool:
    """Ends a process that still runs, and says whether it did: first so that it can clean up, then at once."""
    if not process.is_alive():
        return False
    process.terminate()
    process.join(_GRACE)
    process.kill()
    process.join()
    return True


def _entry(pipe: Connection, work: Any, given: tuple[Any, ...]) -> None:
    """In the process of a part. It cleans up once, when the process that started it says so: a terminal tells both."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    try:
        work(pipe, *given)
    except KeyboardInterrupt:
        sys.exit(0)


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt


def _machine(pipe: Connection, device: str) -> None:
    """Says what the machine is, and how fast it multiplies."""
    import torch

    from benchmarks.gpu.device import Device
    from benchmarks.gpu.ours import best_dtype
    from benchmarks.machine import machine, paragraph

    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("gpu kit: there is no GPU here; --device cpu --tiny tries the kit itself")
    dtype = best_dtype(device)
    for fact in {"machine": machine(), "described": paragraph(), "device": device}.items():
        pipe.send(fact)
    pipe.send(("dtype", str(dtype).removeprefix("torch.")))
    pipe.send(("peak_flops", Device(device).matmul_rate(dtype)))


def _measure(
    pipe: Connection, part: str, arguments: argparse.Namespace, scratch: Path, peak: float, seconds: float
) -> None:
    """Says one line after another, for each model."""
    import torch

    from benchmarks.gpu.device import CutShort, deadline
    from benchmarks.gpu.kit import Kit

    if arguments.tiny:  # threads only get into each other's way in matrices this small
        torch.set_num_threads(1)
    target = _TINY_SECONDS if arguments.tiny else seconds / len(arguments.models)
    kit = Kit.on(arguments.device, scratch, peak, target)
    measure, model = import_module(f"benchmarks.gpu.{part}").measure, ""
    try:
        with deadline(seconds):
            for model in arguments.models:
                for line in _guarded(measure, kit, part, model):
                    pipe.send(line)
                kit.device.free()
    except CutShort as cut:
        pipe.send(Line(part, model, "", status=CUT, note=str(cut)))


def _guarded(measure: Any, kit: Any, part: str, model: str) -> Iterator[Line]:
    """The lines of one model; where it fails, that is a line too, and the next model's turn comes."""
    from benchmarks.gpu.models import NotHere

    try:
        yield from measure(kit, model)
    except NotHere as missing:
        yield Line(part, model, "", status=SKIPPED, note=str(missing))
    except Exception as error:  # noqa: BLE001 whatever it is: the others still run
        traceback.print_exc()
        first = (str(error).strip() or "no message").splitlines()[0]
        yield Line(part, model, "", status=FAILED, note=f"{type(error).__name__}: {first[:300]}")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """For models; removed at the end, also where a part was killed while it wrote there."""
    folder = Path(tempfile.mkdtemp(prefix="gpukit-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _arguments() -> argparse.Namespace:
    """As given, and what follows from that."""
    arguments = _parser().parse_args()
    arguments.minutes = arguments.minutes or (_TINY_MINUTES if arguments.tiny else _MINUTES)
    arguments.models = arguments.models or (["tiny"] if arguments.tiny else list(MODELS))
    return arguments


def _parts(text: str) -> list[str]:
    """Names or letters, in the order of PARTS."""
    wanted = {LETTERS.get(name, name) for name in text.split(",")}
    if unknown := wanted - set(PARTS):
        raise argparse.ArgumentTypeError(f"no part is called {', '.join(sorted(unknown))}")
    return [part for part in PARTS if part in wanted]


def _models(text: str) -> list[str]:
    if unknown := set(text.split(",")) - {*MODELS, "tiny"}:
        raise argparse.ArgumentTypeError(f"no model is called {', '.join(sorted(unknown))}")
    return text.split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--models", type=_models, help=f"some of: {', '.join(MODELS)}, tiny")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a Llama of a million parameters alone")
    parser.add_argument("--minutes", type=float, help=f"that all parts may take; {_MINUTES:g}, if not tiny")
    parser.add_argument("--wheels", type=Path, help="a folder with wheels of what this host lacks")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    return parser


if __name__ == "__main__":
    main()
