"""S3Proxy, a server of the S3 API over a folder, on loopback; a local Spark whose s3a:// is there; a bucket."""

import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from sparklabel.delta.jars import delta_jars
from tests.s3 import jars

IDENTITY, SECRET = "tester", "not-a-secret"
LOGGING = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender"><encoder>
<pattern>%m%n%ex</pattern></encoder></appender><root level="ERROR"><appender-ref ref="out"/></root>
<logger name="org.gaul.shaded.org.eclipse.jetty.server.Server" level="INFO"/></configuration>"""
PROPERTIES = """
s3proxy.endpoint={endpoint}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={identity}
s3proxy.credential={secret}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={buckets}
"""


@pytest.fixture(scope="session")
def s3_jars():
    """The paths of the jars."""
    return jars.found() or pytest.skip("the jars of an S3 server are not here: make s3 fetches them")


@pytest.fixture(scope="session")
def buckets(tmp_path_factory):
    """The folder whose folders are the server's buckets."""
    return tmp_path_factory.mktemp("buckets")


@pytest.fixture(scope="session")
def endpoint(s3_jars, buckets, tmp_path_factory):
    """The address of a server, which runs until the tests end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    home = tmp_path_factory.mktemp("s3proxy")
    Path(home, "logback.xml").write_text(LOGGING)
    settings = PROPERTIES.format(endpoint=address, identity=IDENTITY, secret=SECRET, buckets=buckets)
    Path(home, "s3proxy.properties").write_text(settings)
    command = ["java", "-Xmx256m", f"-Dlogback.configurationFile={home}/logback.xml"]
    command += ["-cp", ":".join(map(str, s3_jars)), "org.gaul.s3proxy.Main"]
    command += ["--properties", f"{home}/s3proxy.properties"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        said = []
        for line in server.stdout:
            said.append(line)
            if line.startswith("Started"):
                break
        else:
            pytest.fail("the S3 server did not start: " + "".join(said))
        with open(home / "log", "w") as log:
            reader = threading.Thread(target=shutil.copyfileobj, args=(server.stdout, log))
            reader.start()
            yield address
            server.terminate()
            reader.join()


@pytest.fixture(scope="session")
def spark_conf(s3_jars, endpoint, cache):
    """Hadoop's connector to the server."""
    ours = ("org.apache.hadoop_", "org.reactivestreams_", "software.amazon.")
    connector = [jar for jar in s3_jars if jar.name.startswith(ours)]
    return {
        "spark.jars": ",".join(map(str, (*delta_jars(), *connector))),
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.access.key": IDENTITY,
        "spark.hadoop.fs.s3a.secret.key": SECRET,
    }


@pytest.fixture(scope="session")
def bucket(buckets):
    """The address of an empty bucket."""
    (buckets / "tickets").mkdir()
    return "s3a://tickets"


@pytest.fixture(scope="module")
def mlflow_on_s3(endpoint, buckets, tmp_path_factory, new_mlflow_store):
    """An MLflow store with files in a bucket."""
    pytest.importorskip("boto3", reason="MLflow needs boto3 for artifacts on S3")
    (buckets / "models").mkdir()
    settings = {
        "MLFLOW_TRACKING_URI": new_mlflow_store(tmp_path_factory.mktemp("mlflow")),
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": IDENTITY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield "s3://models"
