"""The engine for OpenAI-compatible HTTP endpoints. The one door to openai."""
