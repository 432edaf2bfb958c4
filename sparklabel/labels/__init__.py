"""The label record and the SQL predicates over it."""
