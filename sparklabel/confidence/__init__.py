"""From a model's probabilities to a confidence: prior correction, calibrators, fitting. Numpy only."""
