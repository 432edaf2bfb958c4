"""Yes or no, and how fast, on a bare host with one GPU: `python -m benchmarks.gpu.run`. See README.md."""
