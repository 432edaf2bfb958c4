"""A causal language model: load it, encode a shared prefix once, read next-token scores, fine-tune it with LoRA.

The one door to torch and transformers (and peft). In: folders and token ids. Out: numpy arrays and folders.
Nothing here knows of tasks, labels or rows. Names are loaded when first used, so that `TrainingConfig` needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparklabel.language_model.gguf import convert_gguf
    from sparklabel.language_model.model import LanguageModel, default_device
    from sparklabel.language_model.partial_forward import decoder_depth, hidden_features, layer_at
    from sparklabel.language_model.sentence_encoder import EncoderTokenizer, SentenceEncoder
    from sparklabel.language_model.tokenizer import ModelTokenizer
    from sparklabel.language_model.training.config import TrainingConfig
    from sparklabel.language_model.training.encoder import LinearHead, train_encoder
    from sparklabel.language_model.training.examples import TrainingExample, choice_examples, text_examples
    from sparklabel.language_model.training.loop import StepMetrics, TrainingSummary
    from sparklabel.language_model.training.pack_ranks import PackTraining
    from sparklabel.language_model.training.pack_trainer import train_on_packs
    from sparklabel.language_model.training.trainer import train_lora

_HOMES = {
    "EncoderTokenizer": "sentence_encoder",
    "LanguageModel": "model",
    "LinearHead": "training.encoder",
    "ModelTokenizer": "tokenizer",
    "PackTraining": "training.pack_ranks",
    "SentenceEncoder": "sentence_encoder",
    "StepMetrics": "training.loop",
    "TrainingConfig": "training.config",
    "TrainingExample": "training.examples",
    "TrainingSummary": "training.loop",
    "choice_examples": "training.examples",
    "convert_gguf": "gguf",
    "decoder_depth": "partial_forward",
    "default_device": "model",
    "hidden_features": "partial_forward",
    "layer_at": "partial_forward",
    "text_examples": "training.examples",
    "train_encoder": "training.encoder",
    "train_lora": "training.trainer",
    "train_on_packs": "training.pack_trainer",
}

__all__ = [
    "EncoderTokenizer",
    "LanguageModel",
    "LinearHead",
    "ModelTokenizer",
    "PackTraining",
    "SentenceEncoder",
    "StepMetrics",
    "TrainingConfig",
    "TrainingExample",
    "TrainingSummary",
    "choice_examples",
    "convert_gguf",
    "decoder_depth",
    "default_device",
    "hidden_features",
    "layer_at",
    "text_examples",
    "train_encoder",
    "train_lora",
    "train_on_packs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
