"""LoRA training: configuration, data, loss and loop. It knows tensors, and no Spark."""
