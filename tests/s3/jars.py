"""The jars of the tests on S3: Hadoop's connector and an S3 server, S3Proxy. `python -m tests.s3.jars` fetches them.

Spark fetches them (Ivy), as it does Delta's; `jars.lock` says which they are, with their checksums. The connector gets
the few modules of Amazon's SDK that it uses, 13 MB: its own choice is the bundle of all, which has hundreds.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from sparklabel.cache_dir import cache_dir
from sparklabel.delta.jars import resolve_packages

_LOCK = Path(__file__).with_name("jars.lock")
_SDK = "software.amazon.awssdk"
CONNECTOR = (
    "org.apache.hadoop:hadoop-aws:3.5.0",
    *(
        f"{_SDK}:{module}:2.35.4"
        for module in ("s3-transfer-manager", "apache-client", "netty-nio-client", "sts")
    ),
    "software.amazon.s3.analyticsaccelerator:analyticsaccelerator-s3:1.3.1",
)
# What Spark has itself, and what the connector's default needs.
_NOT_FOR_CONNECTOR = (
    f"{_SDK}:bundle,{_SDK}:s3-event-notifications,{_SDK}.crt:*,io.netty:*,org.slf4j:*,commons-codec:*,commons-logging:*,"
    "org.apache.httpcomponents:*,org.wildfly.openssl:*,com.github.ben-manes.caffeine:*"
)
SERVER = (
    "org.gaul:s3proxy:4.1.0",
    "com.fasterxml.jackson.core:jackson-annotations:2.22",
)
# Its ways to other clouds; of Amazon's SDK it has the connector's.
_NOT_FOR_SERVER = (
    f"{_SDK}:*,com.google.cloud:*,com.azure:*,com.github.openstack4j.core:*,com.github.openstack4j.core.connectors:*,"
    "org.apache.sshd:*,io.grpc:*"
)


def locked() -> dict[str, str]:
    """The jars' names and SHA-256."""
    lines = (line.split() for line in _LOCK.read_text("utf-8").splitlines())
    return {name: sha256 for sha256, name in lines}


def folder() -> Path:
    """Where they are kept."""
    return cache_dir() / "s3-jars"


def found() -> list[Path]:
    """All of them, checked; empty if one is missing or damaged."""
    jars = {folder() / name: sha256 for name, sha256 in locked().items()}
    return list(jars) if all(jar.is_file() and sha256_of(jar) == known for jar, known in jars.items()) else []


def sha256_of(jar: Path) -> str:
    with jar.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch() -> None:
    """Fetches what is missing (32 MB). Exits with what was said if a jar is not what the lock says."""
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / ".lock"), tempfile.TemporaryDirectory(prefix=".ivy-", dir=folder()) as ivy:
        said = ""
        for packages, excluded in (
            () if found() else ((CONNECTOR, _NOT_FOR_CONNECTOR), (SERVER, _NOT_FOR_SERVER))
        ):
            said += resolve_packages(packages, excluded, Path(ivy))
        for name, known in {} if found() else locked().items():
            jar = Path(ivy, "jars", name)
            if not (jar.is_file() and sha256_of(jar) == known):
                sys.exit(f"{name} was not fetched as jars.lock has it:\n{said}")
            os.replace(jar, folder() / name)


if __name__ == "__main__":
    fetch()
