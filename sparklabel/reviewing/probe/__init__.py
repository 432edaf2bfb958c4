"""The live probe: which rows to ask next, and suggestions that get better while people answer."""
