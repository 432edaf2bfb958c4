"""Fine-tunes on the human answers of a Delta table, as a Spark job.

    spark-submit --properties-file conf/spark-local.conf --jars "$(sparklabel jars)" jobs/finetune.py \\
        --table support.tickets --task conf/tasks/intent.yaml --key ticket_id

The options are those of `sparklabel finetune` (see --help); both call sparklabel.finetune.
"""

import typer

from sparklabel.cli.app import run
from sparklabel.cli.loop import finetune


def main() -> None:
    run(lambda: typer.run(finetune))


if __name__ == "__main__":
    main()
