"""Fine-tuning: human answers in, a gated model version out.

Nothing is imported here: executors need the launcher, and not the torch and MLflow of what surrounds it.
"""
