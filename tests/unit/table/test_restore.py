"""What `restore_answers` refuses before it looks at the table."""

import pytest

from sparklabel import classification, restore_answers
from sparklabel.errors import TableError

TASK = classification("verdict", "text", ["fresh", "rotten"], "Judge.")


@pytest.mark.parametrize("version", [-1, True, "3"])
def test_what_no_version_can_have_as_its_number_is_refused(version):
    with pytest.raises(TableError, match=f"from_version={version!r} is not the number of a version"):
        restore_answers(None, "tickets", TASK, from_version=version)
