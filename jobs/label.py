"""Labels a Delta table in place, as a Spark job.

    spark-submit --properties-file conf/spark-local.conf --jars "$(python -m sparklabel.jars)" jobs/label.py \\
        --table support.tickets --task conf/tasks/intent.yaml --key ticket_id

The options are those of `sparklabel label` (see --help); both call sparklabel.label_table.
"""

import typer

from sparklabel.cli import label, run


def main() -> None:
    run(lambda: typer.run(label))


if __name__ == "__main__":
    main()
