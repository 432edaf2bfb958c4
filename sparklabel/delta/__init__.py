"""Spark sessions and Delta tables: snapshots, commits, jars. Nothing here knows a task."""
