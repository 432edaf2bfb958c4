"""Converts a GGUF file to a safetensors folder that transformers loads like any other model.

In: one file. Out: a folder. It downloads nothing.
"""

import io
from contextlib import redirect_stderr
from pathlib import Path


def convert_gguf(gguf: Path, folder: Path) -> None:
    """Writes config, tokenizer and bfloat16 weights of `gguf` into `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    with redirect_stderr(io.StringIO()):  # its progress bar cannot be switched off otherwise
        loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # transformers marks models from GGUF as not serializable: save a fresh model with the same weights.
    settings = {
        k: v for k, v in loaded.config.to_dict().items() if k not in ("quantization_config", "_name_or_path")
    }
    fresh = type(loaded)(type(loaded.config)(**settings)).to(torch.bfloat16)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
