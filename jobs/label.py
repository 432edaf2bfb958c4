"""Labels a Delta table in place, as a Spark job.

    spark-submit --properties-file conf/spark-local.conf --jars "$(sparklabel jars)" jobs/label.py \\
        --table support.tickets --task conf/tasks/intent.yaml --key ticket_id

The options are those of `sparklabel label` (see --help); both call sparklabel.label_table.
"""

import typer

from sparklabel.cli.app import run
from sparklabel.cli.loop import label


def main() -> None:
    run(lambda: typer.run(label))


if __name__ == "__main__":
    main()
