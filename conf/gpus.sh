#!/usr/bin/env bash
# Reports to Spark which NVIDIA GPUs this host or container has: {"name": "gpu", "addresses": ["0", "1"]}.
# For spark.worker.resource.gpu.discoveryScript (standalone) and spark.executor.resource.gpu.discoveryScript (YARN,
# Kubernetes). Spark's own getGpusResources.sh does the same, but pip's pyspark does not include it.
set -euo pipefail
numbers="$(nvidia-smi --query-gpu=index --format=csv,noheader)"
echo "{\"name\": \"gpu\", \"addresses\": [$(sed 's/.*/"&"/' <<<"$numbers" | paste -sd, -)]}"
