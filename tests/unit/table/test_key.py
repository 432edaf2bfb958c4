"""Keys that cannot be one, as messages show them."""

import pytest

from sparklabel.errors import KeyColumnError
from sparklabel.table.key import check_unique_rows


def test_a_key_is_shown_without_what_a_terminal_would_obey():
    with pytest.raises(KeyColumnError) as caught:
        check_unique_rows([{"id": "\x1b[2Ja"}] * 2, "tickets", ["id"])
    assert "found more than once: \\x1b[2Ja." in caught.value.message
