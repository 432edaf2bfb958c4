"""The notebook runs from a clean start, in a kernel of its own, and what it shows is so."""

from pathlib import Path

import nbformat
import pytest
import traitlets
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "the_loop.ipynb"


class ThisInterpreter(AsyncKernelManager):
    """Starts kernels of the running interpreter: without folders to look for others in, there is no other."""

    @traitlets.default("kernel_spec_manager")
    def _no_other_kernels(self):
        return KernelSpecManager(kernel_dirs=[])


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What the code cells printed. The kernel keeps its tables in a temporary folder."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:+UseSerialGC")
        patch.delenv("SPARKLABEL_FINETUNE", raising=False)
        where = {"metadata": {"path": str(folder)}}
        NotebookClient(notebook, kernel_manager_class=ThisInterpreter, timeout=300, resources=where).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def last_table(shown):
    """id -> (intent, source, model), from the labels that the notebook shows at its end."""
    table = shown[shown.rindex("|id |intent") :].partition("+\n\n")[0]
    rows = [
        [field.strip() for field in line.split("|")[1:-1]] for line in table.splitlines() if line[:1] == "|"
    ]
    return {int(row[0]): tuple(row[1:]) for row in rows[1:]}


def test_every_pending_row_is_labeled(shown):
    assert "labeled 10 rows, 2 without an answer" in shown
    assert "written: 2 empty input, 10 ok" in shown


def test_the_figures_leave_out_rows_without_gold(shown):
    assert "10 rows, 2 without a gold value left out" in shown


def test_the_next_pass_keeps_what_people_answered(shown):
    answers = {row: intent for row, (intent, source, _) in last_table(shown).items() if source == "human"}
    assert answers == {1: "new card", 4: "new card", 5: "lost card", 7: "lost card", 8: "refund"}


def test_the_next_pass_labels_the_other_rows_anew(shown):
    new = {row for row, (_, _, model) in last_table(shown).items() if model == "fake:the-next-model"}
    assert new == {2, 3, 6, 9, 10}


def test_the_notebook_is_kept_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.source for cell in code if cell.outputs or cell.execution_count] == []
