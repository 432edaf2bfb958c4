"""Greedy decoding under a grammar."""
