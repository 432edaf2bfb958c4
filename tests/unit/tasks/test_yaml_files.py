"""A task's file costs no more than its own size: what is too large, too deep or full of aliases is refused by name."""

import pytest

from sparklabel import load_task
from sparklabel.errors import TaskError

TOO_MUCH = {
    "a large file": ("# " + "x" * 1_000_000, "it is larger than 1,000,000 bytes"),
    "lists in lists": ("a: " + "[" * 5_000 + "]" * 5_000, "it is nested deeper than 20 levels"),
    "blocks in blocks": ("\n".join(" " * n + "a:" for n in range(500)), "it is nested deeper than 20 levels"),
    "a list in itself": ("a: &a [*a]", "'a' contains itself"),
    "aliases of aliases": (
        "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)),
        "it holds more than 200,000 values, with what its aliases stand for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOO_MUCH)
def test_a_file_that_costs_too_much_is_refused_by_name(tmp_path, case):
    text, message = TOO_MUCH[case]
    path = tmp_path / "task.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(TaskError) as caught:
        load_task(path)
    assert caught.value.message == f"Cannot read the task file {path}: {message}"


def test_a_value_may_be_given_once_and_meant_twice(tmp_path):
    path = tmp_path / "task.yaml"
    path.write_text(
        "kind: classification\nname: v\ninputs: text\nlabels: {a: &same Good., b: *same}\n", "utf-8"
    )
    assert [label.description for label in load_task(path).labels] == ["Good.", "Good."]
