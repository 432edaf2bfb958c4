"""Comparisons run by hand: each prints a table and writes its figures beside a description of the machine."""
