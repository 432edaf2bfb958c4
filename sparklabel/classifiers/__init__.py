"""Classifiers: heads over features of frozen models, texts in, log-probabilities of a task's choices out."""
