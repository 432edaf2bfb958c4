"""A LoRA adapter with random weights, for the tests of engines."""

from pathlib import Path


def make_tiny_adapter(base: Path, folder: Path) -> Path:
    """Makes it in the folder, for one layer of a tiny model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    config = LoraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[3], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(folder)
    return folder
