"""Benchmarks: several models on several data sets, untrained and taught by a number of answers, in one figure."""
