"""What a fine-tuning is asked for."""

import pytest

from sparklabel.errors import SetupError
from sparklabel.training.call import FinetuneCall
from tests.tone_table import TONE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"hidden_states": True}, "method='lora' trains no classifier"),
        (
            {"hidden_states": True, "method": "classifier", "tune_encoder": True},
            "tune_encoder=True reads none",
        ),
        ({"hidden_states": "no", "method": "auto"}, "hidden_states='no'"),
    ],
)
def test_hidden_states_are_refused_where_nothing_reads_them(arguments, said):
    with pytest.raises(SetupError, match=said):
        FinetuneCall(table="tickets", task=TONE, **arguments)
