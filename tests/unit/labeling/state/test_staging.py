"""What is said when the staging table cannot be made, with a stand-in for the session."""

from types import SimpleNamespace

import pytest
from pyspark.errors import PySparkException

from sparklabel.errors import TableError
from sparklabel.labeling.state.staging import open_staging
from sparklabel.tasks import classification

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")


def test_a_full_disk_is_named_with_the_advice_to_make_room():
    def sql(statement):
        raise PySparkException("Job aborted.\njava.io.IOException: No space left on device")

    target, columns = SimpleNamespace(location="/data/tickets"), SimpleNamespace(label="verdict_label")
    with pytest.raises(TableError, match=r"cannot be created: .*No space left on device") as caught:
        open_staging(SimpleNamespace(sql=sql), target, columns, TASK, ["fake:m"], "p")
    assert caught.value.hint.startswith("Make room, ")
