"""The vLLM engine. The one door to vllm."""
