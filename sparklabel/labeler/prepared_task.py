"""A task prepared for one tokenizer: how rows are rendered, and what answers are as tokens.

In: a task, a tokenizer, and what a fine-tuned model carries. Out: a `PreparedTask`. It needs no weights: a driver makes
one to find out what cannot be asked, before anything is loaded or written.
"""

from dataclasses import dataclass
from functools import partial

from sparklabel.classifiers.features import row_parts
from sparklabel.errors import TaskError
from sparklabel.few_shot import ExampleSet
from sparklabel.label_trie import LabelTrie, TokenPath, label_trie
from sparklabel.models.manifest import ModelManifest
from sparklabel.prompts import (
    PromptEncoder,
    PromptTemplate,
    RowEncoder,
    RowTokens,
    Tokenizer,
    answer_ids,
    bare_template,
    candidate_labels,
    chat_template,
    check_same_ids,
    fitting,
)
from sparklabel.tasks import AnswerMode, Generated, Scored, Task, check_task


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """`mode`: how the task is answered. `template` and `encoder`: how rows become prompts; there is no template if no
    language model is asked. `label_trie`: the choices that a language model scores; None if it writes answers, or is
    not asked."""

    task: Task
    mode: AnswerMode
    template: PromptTemplate | None
    encoder: RowEncoder
    label_trie: LabelTrie | None

    @classmethod
    def of(
        cls,
        task: Task,
        tokenizer: Tokenizer,
        manifest: ModelManifest | None = None,
        model: str = "",
        examples: ExampleSet | None = None,
    ) -> "PreparedTask":
        """With the manifest of a fine-tuned model; or without fine-tuning, with the examples of a pass if there are
        any. Raises TaskError or ModelError."""
        check_task(task)
        if manifest and manifest.template is None:
            manifest.check_fits(task, model)
            return cls(task, task.answer_mode, None, RowTokens(tokenizer, partial(row_parts, task)), None)
        template = manifest.template if manifest else None
        prepared = cls.rendered(task, tokenizer, template or _untrained(task, tokenizer, examples))
        if manifest:
            manifest.check_fits(task, model)
            check_same_ids(manifest.label_ids, prepared.label_ids, model)
        return prepared

    @classmethod
    def bare(cls, task: Task, tokenizer: Tokenizer) -> "PreparedTask":
        """As a fine-tuned model is asked, without instructions. Raises TaskError."""
        return cls.rendered(task, tokenizer, bare_template(task, tokenizer))

    @classmethod
    def rendered(cls, task: Task, tokenizer: Tokenizer, template: PromptTemplate) -> "PreparedTask":
        """With a template of the caller's."""
        mode, trie = task.answer_mode, None
        if isinstance(mode, Scored):
            trie = label_trie(answer_ids(template, tokenizer, mode.verbalized), mode.names, mode.groups)
        reserve = trie.tree_depth + 1 if trie else mode.max_tokens if isinstance(mode, Generated) else 0
        encoder = PromptEncoder(template, tokenizer, reserve)
        if encoder.takes_candidates and (candidates := candidate_labels(task)):
            encoder.check_room_for(candidates)
        return cls(task, mode, template, encoder, trie)

    @property
    def trie(self) -> LabelTrie:
        """The choices of a scored task. Raises TaskError for a generated one."""
        if self.label_trie is None:
            raise TaskError(f"A task of kind {self.task.kind!r} has no choices: its answers are generated.")
        return self.label_trie

    @property
    def label_ids(self) -> tuple[TokenPath, ...]:
        """The choices' token ids; empty if answers are generated."""
        return self.label_trie.paths if self.label_trie else ()


def _untrained(task: Task, tokenizer: Tokenizer, examples: ExampleSet | None) -> PromptTemplate:
    if examples is None:
        return chat_template(task, tokenizer)
    if examples.similar:
        return chat_template(task, tokenizer, by_row=True)
    return chat_template(task, tokenizer, fitting(task, tokenizer, examples.shown))
