"""The table's side of a review: rows out of it, answers and labels into it. Spark is here alone."""
