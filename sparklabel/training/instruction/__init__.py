"""Instruction tuning: the answers of many tables in, one model that labels any task out.

Nothing is imported here: executors need what renders rows, and not the torch and MLflow of what surrounds it.
"""
