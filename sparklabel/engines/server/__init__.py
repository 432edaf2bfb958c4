"""One engine for all tasks of a GPU (or, without one, of a machine), in a process of its own.

A Spark executor runs several Python workers. With a model in each, a GPU holds several copies of it, and none of them
sees enough rows at once. `connect` finds the process that serves a model, or starts it, and gives an `Engine` whose
work is done there. What the process does is in process.py and batcher.py, where it lives in place.py.
"""

from sparklabel.engines.server.client import ServedEngine
from sparklabel.engines.server.endpoint import CPU, Endpoint, ServingSpec
from sparklabel.engines.server.gpus import gpu_uuid, visible_gpu
from sparklabel.engines.server.launcher import connect, evict

__all__ = ["CPU", "Endpoint", "ServedEngine", "ServingSpec", "connect", "evict", "gpu_uuid", "visible_gpu"]
