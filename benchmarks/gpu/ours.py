"""Every name of sparklabel that the kit uses, in one place: none of them needs Spark, MLflow or a network."""

from sparklabel.constraints import LabelTrie, label_trie
from sparklabel.engines.server.owners import Owners
from sparklabel.language_model.answers import AnswerLoss, Sequences
from sparklabel.language_model.grammar import Grammar, Vocabulary
from sparklabel.language_model.layers import DecoderStack
from sparklabel.language_model.lora import training_attention
from sparklabel.references import embedded_model

from sparklabel.engines import EngineSpec, GenerationRequest, ScoringRequest, engine_spec
from sparklabel.engines.server import CPU, Place, Served, connect, visible_gpu
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.errors import ModelError
from sparklabel.language_model import (
    LanguageModel,
    ModelTokenizer,
    Recipe,
    StepMetrics,
    TrainingExample,
    TrainingSummary,
    choice_examples,
    decoder_depth,
    train_lora,
)
from sparklabel.language_model.model import best_dtype

__all__ = [
    "CPU",
    "AnswerLoss",
    "DecoderStack",
    "EngineSpec",
    "GenerationRequest",
    "Grammar",
    "LabelTrie",
    "LanguageModel",
    "ModelError",
    "ModelTokenizer",
    "Owners",
    "Place",
    "Recipe",
    "ScoringRequest",
    "Sequences",
    "Served",
    "StepMetrics",
    "TrainingExample",
    "TrainingSummary",
    "TransformersEngine",
    "Vocabulary",
    "best_dtype",
    "choice_examples",
    "connect",
    "decoder_depth",
    "embedded_model",
    "engine_spec",
    "label_trie",
    "train_lora",
    "training_attention",
    "visible_gpu",
]
