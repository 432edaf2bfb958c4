"""LoRA training: configuration, data, loss, loop. Tensors only, no Spark."""
