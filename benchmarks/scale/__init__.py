"""What a pass does to its bookkeeping at sizes that nobody has a cluster for here: a simulation, without Spark."""
