"""One engine for all tasks of a GPU (or, without one, of a machine), in a process of its own.

A Spark executor runs several Python workers. With a model in each, a GPU would hold several copies of it, and none of
them would see enough rows at once. `connect` finds the process that serves a model, or starts it, and returns an
`Engine` whose work is done there. That process runs `Server` and `Batcher`; its `Endpoint` is where it is found.
"""

from sparklabel.engines.server.client import ServedEngine
from sparklabel.engines.server.endpoint import CPU, Endpoint, ServingSpec, isolation_lock
from sparklabel.engines.server.gpus import gpu_uuid, visible_gpu
from sparklabel.engines.server.launcher import connect, evict

__all__ = [
    "CPU",
    "Endpoint",
    "ServedEngine",
    "ServingSpec",
    "connect",
    "evict",
    "gpu_uuid",
    "isolation_lock",
    "visible_gpu",
]
