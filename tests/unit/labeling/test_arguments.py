"""What type checkers and editors see of `label_table` is what it takes."""

import inspect

from sparklabel.engines import ENGINES
from sparklabel.labeling.arguments import EngineArguments, LabelArguments
from sparklabel.labeling.label_table import label_table


def test_the_typed_arguments_are_those_of_the_function_and_of_the_engines():
    parameters = inspect.signature(label_table).parameters.values()
    own = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert set(LabelArguments.__annotations__) == own | set(EngineArguments.__annotations__)


def test_the_typed_engine_options_are_those_that_engines_take():
    taken = {option for kind in ENGINES.values() for option in kind.options}
    assert set(EngineArguments.__annotations__) == taken | {"shared"}
