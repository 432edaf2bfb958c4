"""Commands about this machine."""

from typer.testing import CliRunner

from sparklabel.cli import app
from sparklabel.delta.jars import delta_jars


def test_the_jars_are_printed_as_spark_submit_takes_them():
    run = CliRunner().invoke(app, ["jars"])
    assert run.stdout == ",".join(map(str, delta_jars())) + "\n"
