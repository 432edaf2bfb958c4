"""A PostgreSQL server on loopback, of this machine's packages (Debian: apt install postgresql)."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "s3cret%21"
"""As an address has it; it stands for `s3cret!`."""
_NOBODY = 65534


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; None where there is none."""
    found = shutil.which("initdb") or next(
        iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None
    )
    return Path(found).resolve().parent if found else None


@contextmanager
def server(bin: Path) -> Iterator[str]:
    """The address of an empty database, whose server ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="sparklabel-pg-"))
    (folder / "password").write_text("s3cret!")
    as_user = {}
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        shutil.chown(folder, _NOBODY, _NOBODY)
        shutil.chown(folder / "password", _NOBODY, _NOBODY)
        as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [bin / "initdb", "-D", data, "-U", "me", "--auth=scram-sha-256", f"--pwfile={folder}/password", "-N"],
        check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user,
    )  # fmt: skip
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    control = [bin / "pg_ctl", "-D", data, "-w"]
    subprocess.run(
        [*control, "-l", folder / "log", "-o", options, "start"],
        check=True, stdout=subprocess.DEVNULL, cwd=folder, **as_user,
    )  # fmt: skip
    try:
        yield f"postgresql://me:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [*control, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL, cwd=folder, **as_user
        )
        shutil.rmtree(folder)
