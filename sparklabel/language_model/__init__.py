"""A causal language model: load it, encode a shared prefix once, read next-token scores, fine-tune it with LoRA.

The one door to torch and transformers (and peft). In: folders and token ids. Out: numpy arrays and folders.
Nothing here knows of tasks, labels or rows.
"""

from sparklabel.language_model.gguf import convert_gguf
from sparklabel.language_model.model import LanguageModel
from sparklabel.language_model.partial_forward import decoder_depth, hidden_features
from sparklabel.language_model.sentence_encoder import SentenceEncoder
from sparklabel.language_model.tokenizer import ModelTokenizer
from sparklabel.language_model.training.config import TrainingConfig
from sparklabel.language_model.training.dataset import TrainingExample, choice_examples, text_examples
from sparklabel.language_model.training.trainer import StepMetrics, TrainingSummary, train_lora

__all__ = [
    "LanguageModel",
    "ModelTokenizer",
    "SentenceEncoder",
    "StepMetrics",
    "TrainingConfig",
    "TrainingExample",
    "TrainingSummary",
    "choice_examples",
    "convert_gguf",
    "decoder_depth",
    "hidden_features",
    "text_examples",
    "train_lora",
]
