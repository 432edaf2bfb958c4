"""The whole loop on one machine, with real reviews."""
