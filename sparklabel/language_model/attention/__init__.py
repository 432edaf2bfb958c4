"""Attention over a shared prefix and a ragged key-value cache."""
