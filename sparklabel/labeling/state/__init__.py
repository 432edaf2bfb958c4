"""What a pass keeps in Delta tables of its own: staging, lease, answer cache, pending inputs."""
