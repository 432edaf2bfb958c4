"""The house of CONTRIBUTING.md: floors, doors of heavy libraries, no cycles, no module too long."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "sparklabel"
FLOORS = {
    room: floor
    for floor, rooms in enumerate(
        (
            "arguments errors hashing host_hashes splits machine progress redaction cache_dir cache_builds locks sql "
            "stored_records termination texts labels annotator_agreement intervals",
            "tasks",
            "models language_model few_shot prompts label_trie confidence probe engines classifiers",
            "labeler",
            "delta",
            "table registry",
            "udf",
            "labeling",
            "evaluation training",
            "labeled_table benchmarking reviewing",
            "demo cli",
        )
    )
    for room in rooms.split()
}
DOORS = {
    "torch": {"language_model", "engines.transformers", "engines.vllm"},
    "transformers": {"language_model"},
    "peft": {"language_model"},
    "llguidance": {"language_model.decoding"},
    "mlflow": {"registry"},
    "vllm": {"engines.vllm"},
    "openai": {"engines.openai"},
    "jinja2": {"language_model.chat_renderer", "reviewing.web"},
    "filelock": {"locks"},
    "optuna": {"training.runs"},
    "sqlite3": {"reviewing.journal", "cli.doctor"},
    "fastapi": {"reviewing.web"},
    "starlette": {"reviewing.web"},
    "uvicorn": {"reviewing.web"},
    "itsdangerous": {"reviewing.web"},
    "playwright": {"demo.browser"},
    "matplotlib": {"training.runs.figures", "benchmarking.charts", "reviewing.insight.charts"},
    "pyspark": {room for room, floor in FLOORS.items() if floor >= 4},
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
    if path != ROOT / "__init__.py"
}


def imports(module, nodes):
    """The dotted names that a module imports, in `nodes` of its tree; ours without "sparklabel."."""
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        assert not {name for name in names if is_public(name)}, f"{module} imports from the package's top"
        yield from (name.removeprefix("sparklabel.") for name in names)


def is_public(name):
    """Whether the name is the package itself, or one that its top offers: which stands above all floors."""
    _, mark, rest = name.partition("sparklabel.")
    return name == "sparklabel" or (bool(mark) and not ours(rest))


def ours(name):
    """The module of ours that an imported name is in, or None."""
    return name if name in MODULES else next((m for m in (name.rpartition(".")[0],) if m in MODULES), None)


@cache
def tree(module):
    return ast.parse(MODULES[module].read_text("utf-8"))


@cache
def everywhere(module):
    return list(imports(module, ast.walk(tree(module))))


def at_the_top(module):
    return list(imports(module, tree(module).body))


def room(module):
    return module.partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_no_higher_floor(module):
    needed = {room(found) for name in everywhere(module) if (found := ours(name))}
    assert [other for other in needed if FLOORS[other] > FLOORS[room(module)]] == []


def test_modules_do_not_import_each_other_in_a_circle():
    graph = {m: {o for name in at_the_top(m) if (o := ours(name)) and o != m} for m in MODULES}
    TopologicalSorter(graph).prepare()


def test_rooms_do_not_need_each_other_in_a_circle_even_inside_functions():
    graph = {}
    for module in MODULES:
        needed = {room(found) for name in everywhere(module) if (found := ours(name))}
        graph.setdefault(room(module), set()).update(needed - {room(module)})
    TopologicalSorter(graph).prepare()


def is_inside(module, door):
    return module == door or module.startswith(f"{door}.")


@pytest.mark.parametrize("library", DOORS)
def test_a_heavy_library_is_imported_behind_its_door_only(library):
    users = {m for m in MODULES for name in everywhere(m) if name.partition(".")[0] == library}
    assert {m for m in users if not any(is_inside(m, door) for door in DOORS[library])} == set()


def test_no_process_of_ours_renders_a_chat_template():
    """A template may never end: `chat_format` gives it to a child process."""
    render = {"apply_chat_template", "render_jinja_template"}
    assert [m for m in MODULES for node in ast.walk(tree(m)) if getattr(node, "attr", "") in render] == []


def test_no_module_is_longer_than_300_lines():
    lengths = {m: len(path.read_text("utf-8").splitlines()) for m, path in MODULES.items()}
    assert {m: lines for m, lines in lengths.items() if lines > 300} == {}
