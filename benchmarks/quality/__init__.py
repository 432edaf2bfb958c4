"""How good the answers are, on public data sets: one YAML a data set in `data_sets`, the rows in a folder of yours."""
