"""Metrics for each kind of task, and of its confidence."""
