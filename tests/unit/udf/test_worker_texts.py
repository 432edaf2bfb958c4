"""What a reply may hold that a table cannot."""

import pyarrow as pa

from sparklabel.labels.record import Alternative, Label
from sparklabel.udf.worker import _as_arrow

RECORD = pa.struct(
    {
        "value": pa.string(),
        "error": pa.string(),
        "alternatives": pa.list_(pa.struct({"value": pa.string(), "probability": pa.float64()})),
    }
)


def test_half_a_character_is_replaced_and_costs_no_row():
    labels = [
        Label(status="ok", value="fine"),
        Label(
            status="ok",
            value="\ud83d cut",
            error="\ude00",
            alternatives=(Alternative("\ud83d\ude00 whole", 0.5),),
        ),
    ]
    first, second = _as_arrow(labels, RECORD).to_pylist()
    assert first["value"] == "fine"
    assert (second["value"], second["error"]) == (
        "\N{REPLACEMENT CHARACTER} cut",
        "\N{REPLACEMENT CHARACTER}",
    )
    assert second["alternatives"][0]["value"] == "\N{GRINNING FACE} whole"
