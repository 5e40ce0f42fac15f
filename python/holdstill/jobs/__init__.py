"""Long runs as jobs of blocks: done in any order, by any process, repeated at will.

`holdstill.run.align_to_folder`, `holdstill align` and `holdstill.distributed` run on it. For
another engine (Ray, Spark, a queue of a cluster) there are `Job` and the function of a block,
`align_block`.
"""

from holdstill.jobs.blocks import BLOCK_FRAMES, Block, PortableBlock
from holdstill.jobs.job import Job, JobIncompleteError
from holdstill.jobs.manifest import JobChangedError
from holdstill.jobs.on_threads import on_threads
from holdstill.jobs.task import Outputs, Task
from holdstill.jobs.work import align_block

__all__ = [
    "BLOCK_FRAMES",
    "Block",
    "Job",
    "JobChangedError",
    "JobIncompleteError",
    "Outputs",
    "PortableBlock",
    "Task",
    "align_block",
    "on_threads",
]
