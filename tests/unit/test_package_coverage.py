"""The table that `make coverage` prints."""

from tests.package_coverage import Covered, by_package, table


def file(lines, run, branches, branches_run):
    return {
        "summary": {
            "num_statements": lines, "covered_lines": run, "num_branches": branches, "covered_branches": branches_run
        }
    }  # fmt: skip


REPORT = {
    "files": {
        "sparklabel/sql.py": file(10, 9, 4, 1),
        "sparklabel/table/merge.py": file(100, 50, 20, 5),
        "sparklabel/engines/vllm/engine.py": file(20, 0, 0, 0),
        "/home/me/sparklabel/engines/base.py": file(20, 20, 0, 0),
    }
}


def test_files_are_added_up_by_the_package_below_sparklabel():
    assert by_package(REPORT) == {
        "engines": Covered(40, 20, 0, 0), "sparklabel": Covered(10, 9, 4, 1), "table": Covered(100, 50, 20, 5),
    }  # fmt: skip


def test_the_table_says_lines_and_branches_of_each_package_and_of_all():
    assert [line.split() for line in table(REPORT)] == [
        ["package", "lines", "run", "branches", "run"],
        ["engines", "40", "50%", "0", "-"],
        ["sparklabel", "10", "90%", "4", "25%"],
        ["table", "100", "50%", "20", "25%"],
        ["all", "150", "53%", "24", "25%"],
    ]
