"""Probes: small classifiers over the hidden states of a frozen model."""
