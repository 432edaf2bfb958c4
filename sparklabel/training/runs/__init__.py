"""A queue of training runs: submitted once, worked off by any number of processes that may die at any time.

Optuna's storage is the queue, MLflow the record, and Spark's barrier stages wait for slots. Nothing here trains.
"""
