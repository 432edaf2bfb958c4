"""Comparisons that people run by hand: `speed` against rooflines and peers, `quality` on public data sets."""
