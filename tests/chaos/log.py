"""What passes have staged, read from the files: staging itself is empty once they have ended."""

import json


def chunks(table):
    """How many chunks passes over the table have staged: commits of a writer that counts them (`txn`)."""
    return len(_chunks(table))


def staged(spark, table):
    """All answers that passes over the table ever computed and staged: the files of those commits are kept for an
    hour."""
    files = [str(log.parents[1] / action["add"]["path"]) for log, actions in _chunks(table) for action in actions
             if "add" in action]  # fmt: skip
    return spark.read.parquet(*files)


def _chunks(table):
    logs = [
        (log, [json.loads(line) for line in log.read_text().splitlines()])
        for log in table.glob("_sparklabel/verdict_label-*/_delta_log/*.json")
    ]
    return [(log, actions) for log, actions in logs if any("txn" in action for action in actions)]
