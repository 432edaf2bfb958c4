"""The help texts: the same option says the same in every command."""

import typer.main

from sparklabel.cli import app

COMMANDS = typer.main.get_command(app).commands
OF_A_TABLE = (
    "label", "finetune", "evaluate", "calibrate", "passes", "undo", "restore", "failures", "sql",
)  # fmt: skip


def options(name):
    return {option.name: option for option in COMMANDS[name].params}


def test_every_option_of_every_command_is_explained_in_a_sentence():
    helps = {(name, option.name): option.help or "" for name in COMMANDS for option in COMMANDS[name].params}
    assert [where for where, text in helps.items() if not text.endswith((".", "'"))] == []


def test_an_option_says_the_same_wherever_it_is():
    said = {}
    for name in OF_A_TABLE:
        for option in COMMANDS[name].params:
            if option.name in (
                "table",
                "engine",
                "option",
                "column",
                "into",
                "conf",
                "rows",
                "adopt_examples",
            ):
                said.setdefault(option.name, set()).add(option.help)
    assert {name: texts for name, texts in said.items() if len(texts) > 1} == {}


def test_options_come_in_one_order():
    order = ["table", "task", "key", "model", "engine", "option", "column", "into", "conf"]
    for name in OF_A_TABLE:
        shared = [option for option in options(name) if option in order]
        assert shared == [option for option in order if option in shared], name


def test_no_command_needs_a_key_that_the_table_remembers():
    for name in ("label", "finetune", "evaluate", "calibrate", "failures"):
        assert not options(name)["key"].required
        assert options(name)["table"].required
