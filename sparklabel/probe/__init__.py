"""Probes: small classifiers over frozen features."""
