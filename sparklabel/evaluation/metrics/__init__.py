"""Quality measures for each kind of task."""
