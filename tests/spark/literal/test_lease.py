"""The lease's statements, given to Spark: what is read of other passes' rows, and which rows are written and removed.

The rest of the lease is in tests/unit.
"""

import json
import os
from dataclasses import asdict, replace

from sparklabel.labeling.state.lease import Holder, Lease
from sparklabel.labeling.state.staging import Staging
from sparklabel.machine import process_start
from sparklabel.sql import sql_string
from sparklabel.table.shards import Shard


def rows_left(*, beside):
    """Rows of other passes, with a lease or an answer, as values in SQL."""
    here = Holder.this("pass", None)
    living = replace(here, pid=os.getppid(), started=process_start(os.getppid()))
    leases = {
        "gone": replace(living, pass_id="gone", started="long ago"),
        "session": replace(here, pass_id="session"),
        "silent": replace(here, pass_id="silent", host="elsewhere"),
        "living": replace(living, pass_id="living", shard=beside),
    }
    signs = [(name, sql_string(json.dumps(asdict(holder)))) for name, holder in leases.items()]
    answers = [(name, "NULL") for name in ("me", "ended", "living")]
    return ", ".join(f"('{name}', current_timestamp(), {sign})" for name, sign in signs + answers)


def test_a_lease_is_a_row_beside_those_of_others_as_long_as_its_block(spark, tmp_path):
    staging = Staging(str(tmp_path / "staging"), "me", "f", ("m",), "d")
    spark.sql(f"CREATE TABLE {staging.sql} (pass_id STRING, staged_at TIMESTAMP, lease STRING) USING DELTA")
    spark.sql(f"INSERT INTO {staging.sql} VALUES {rows_left(beside=Shard(1, 2))}")

    def rows():
        return [tuple(row) for row in spark.sql(f"SELECT * FROM {staging.sql} ORDER BY ALL").collect()]

    before, said = rows(), []
    with Lease(spark, staging, Shard(0, 2), said.append) as held:
        assert sorted(held.dead) == ["gone", "session", "silent"]
        ((name, _, sign),) = set(rows()) - set(before)
        assert (name, json.loads(sign)["shard"]) == ("me", [0, 2])
    assert rows() == before
    assert said == []
