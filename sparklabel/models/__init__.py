"""Model references, the files behind them, and the manifest that an adapter carries."""
