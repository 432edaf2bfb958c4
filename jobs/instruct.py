"""Trains one model on the answers of many Delta tables, as a Spark job.

    spark-submit --properties-file conf/spark-local.conf --jars "$(sparklabel jars)" jobs/instruct.py \\
        --mixture conf/mixtures/support.yaml --registered-name labeler

The options are those of `sparklabel instruct` (see --help); both call sparklabel.instruction_tune.
"""

import typer

from sparklabel.cli.app import run
from sparklabel.cli.instruct import instruct


def main() -> None:
    run(lambda: typer.run(instruct))


if __name__ == "__main__":
    main()
