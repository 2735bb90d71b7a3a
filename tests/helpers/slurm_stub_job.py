"""Jobs of Slurm for stub nodes; apart from the stub's worker, which imports nothing of ours and starts at once."""

from __future__ import annotations

import subprocess
from typing import Any

from neuronspec.sweep.executors.slurm import SlurmExecutor
from neuronspec.sweep.executors.slurm_job import NodeJob
from tests.helpers.slurm_stub import stub_worker


class StubJob(NodeJob):
    def start(self) -> subprocess.Popen[bytes]:
        return stub_worker(self.folder)


class StubExecutor(SlurmExecutor):
    def job(self, node: Any) -> NodeJob:
        return StubJob(node.folder, (), {}, 1)
