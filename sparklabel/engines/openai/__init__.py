"""The engine for OpenAI-compatible HTTP endpoints. The only package that imports openai."""
