"""How fast it is: every figure is a ratio inside one run, against a roofline or another way to do the same work."""
