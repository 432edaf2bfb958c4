"""Every name of sparklabel that the kit uses, in one place: none of them needs Spark, MLflow or a network."""

from sparklabel.engines import EngineSpec, GenerationRequest, ScoringRequest, engine_spec
from sparklabel.engines.server import CPU, Endpoint, ServingSpec, connect, visible_gpu
from sparklabel.engines.server.liveness import ClientProcesses
from sparklabel.engines.transformers import TransformersEngine
from sparklabel.errors import ModelError
from sparklabel.label_trie import LabelTrie, label_trie
from sparklabel.language_model import (
    LanguageModel,
    ModelTokenizer,
    StepMetrics,
    TrainingConfig,
    TrainingExample,
    TrainingSummary,
    choice_examples,
    decoder_depth,
    train_lora,
)
from sparklabel.language_model.decoding.grammar import Grammar, Vocabulary
from sparklabel.language_model.model import best_dtype
from sparklabel.language_model.partial_forward import DecoderStack
from sparklabel.language_model.training.dataset import Sequences
from sparklabel.language_model.training.loss import AnswerLoss
from sparklabel.language_model.training.ranks import Ranks
from sparklabel.language_model.training.trainer import training_attention
from sparklabel.models.references import embedded_model

__all__ = [
    "CPU",
    "AnswerLoss",
    "ClientProcesses",
    "DecoderStack",
    "Endpoint",
    "EngineSpec",
    "GenerationRequest",
    "Grammar",
    "LabelTrie",
    "LanguageModel",
    "ModelError",
    "ModelTokenizer",
    "Ranks",
    "ScoringRequest",
    "Sequences",
    "ServingSpec",
    "StepMetrics",
    "TrainingConfig",
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
