"""Classifications that nothing was trained for: a language model's probabilities, and how near a text is to the labels'
names, mixed.

In: a task. Out: the task as the language model is asked it, and what reads its rows. A small language model hardly
knows one label from another, and a sentence encoder often does.
"""

from collections.abc import Callable

from sparklabel.classifiers.classifier import NAMES, SCORES, Classifier
from sparklabel.classifiers.features import TextReader
from sparklabel.classifiers.pooling import Pool
from sparklabel.few_shot import Encoder
from sparklabel.labeler.row_classifier import RowClassifier
from sparklabel.tasks import Task
from sparklabel.tasks.classification import Classification

LM, MIXED = "lm", "mixed"
"""What `zero_shot` of a task can be."""
WEIGHTS = {NAMES: 0.9, SCORES: 0.15}
"""Of the two sources' log-probabilities, the language model's without its prior. Fitted once, on the training parts of
data sets; `python -m benchmarks.quality.zero_shot` fits them again, and docs/guide/tasks.md has the figures."""


def label_order(task: Task) -> list[int]:
    """[L]: for each label its number in the ordered task."""
    assert isinstance(task, Classification), "only classifications are mixed"
    names = sorted(task.label_names)
    return [names.index(name) for name in task.label_names]


def ordered(task: Task) -> Task:
    """The task with its labels in the order of their names: which one a user lists first must not decide."""
    assert isinstance(task, Classification), "only classifications are mixed"
    return task.model_copy(update={"labels": tuple(sorted(task.labels, key=lambda label: label.name))})


def name_reader(task: Task, open_encoder: Callable[[], Encoder]) -> RowClassifier:
    """What mixes the two for each row. Raises SetupError or ModelError if this host cannot embed texts."""
    assert isinstance(task, Classification), "only classifications are mixed"
    pool = Pool(WEIGHTS, (len(task.labels),))
    return RowClassifier(Classifier({}, pool), TextReader(task, open_encoder()))
