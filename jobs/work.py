"""Takes training runs off the queue and works at them, as a Spark job.

    spark-submit --properties-file conf/spark-local.conf --jars "$(sparklabel jars)" jobs/work.py \\
        --queue postgresql://user@host/runs

The options are those of `sparklabel runs work` (see --help); both call sparklabel.work.
"""

import typer

from sparklabel.cli.app import run
from sparklabel.cli.runs import work


def main() -> None:
    run(lambda: typer.run(work))


if __name__ == "__main__":
    main()
