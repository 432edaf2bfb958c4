"""From a model's probabilities to a confidence: prior correction, calibrators, and how these are fitted."""
