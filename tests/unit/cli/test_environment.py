"""Commands about this machine."""

import pytest
from typer.testing import CliRunner

from sparklabel.cli import app
from sparklabel.delta.jars import delta_jars, find_jars


@pytest.mark.skipif(find_jars() is None, reason="Delta's jars were not downloaded here")
def test_the_jars_are_printed_as_spark_submit_takes_them():
    run = CliRunner().invoke(app, ["jars"])
    assert run.stdout == ",".join(map(str, delta_jars())) + "\n"
