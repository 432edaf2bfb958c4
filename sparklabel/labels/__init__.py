"""The label record, its statuses, and the SQL predicates over it."""
