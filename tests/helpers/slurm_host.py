"""A Slurm of one node, of this host, in a folder of its own: munged, slurmctld, slurmd.

`tests/cluster/install_slurm.sh` installs them. Nothing of the host's own configuration is read or written.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost=localhost
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CryptoType=crypto/munge
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MailProg=/bin/true
SelectType=select/cons_res
SelectTypeParameters=CR_Core
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=10
ReturnToService=2
NodeName=localhost CPUs=4 State=UNKNOWN
PartitionName=low Nodes=localhost Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=2
PartitionName=high Nodes=localhost MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""


@dataclass
class SlurmHost:
    """A running Slurm.

    Args:
        folder: its own.
        environment: in which its commands find it.
    """

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> str:
        """What one of Slurm's commands says."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()


@contextmanager
def slurm_host() -> Iterator[SlurmHost | str]:
    """A Slurm for as long as the block runs; or why there is none."""
    missing = [name for name in DAEMONS if _path(name) is None]
    if missing:
        yield f"{', '.join(missing)} not installed: tests/cluster/install_slurm.sh"
        return
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))  # a path of a socket is short
    daemons: list[subprocess.Popen[bytes]] = []
    host = SlurmHost(folder, os.environ | {"SLURM_CONF": str(folder / "slurm.conf")})
    try:
        yield _start(host, daemons) or host
    finally:
        if len(daemons) == len(DAEMONS):
            subprocess.run(["scancel", "--me"], env=host.environment, capture_output=True, timeout=30, check=False)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _start(host: SlurmHost, daemons: list[subprocess.Popen[bytes]]) -> str | None:
    """Start the daemons; why they can't be."""
    folder = host.folder
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    text = CONFIGURATION.format(user=user, folder=folder, port=_free_port(), node_port=_free_port())
    (folder / "slurm.conf").write_text(text)
    munge = ["--key-file", "munge.key", "--socket", "munge.socket", "--log-file", "munged.log"]
    munge += ["--pid-file", "munged.pid", "--seed-file", "munged.seed"]
    munge = [word if word.startswith("--") else str(folder / word) for word in munge]
    for command in (["munged", "--foreground", "--force", *munge], ["slurmctld", "-D", "-c"], ["slurmd", "-D"]):
        said = (folder / f"{command[0]}.said").open("wb")
        path = _path(command[0])
        assert path is not None
        daemons.append(subprocess.Popen([path, *command[1:]], env=host.environment, stdout=said, stderr=said))
        if command[0] == "munged" and not within(10, (folder / "munge.socket").exists):
            return _why(host, daemons)
    return None if within(30, lambda: _is_idle(host)) else _why(host, daemons)


def _is_idle(host: SlurmHost) -> bool:
    command = ["sinfo", "--noheader", "--format=%T", "--partition=low"]
    done = subprocess.run(command, env=host.environment, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() == "idle"


def _why(host: SlurmHost, daemons: list[subprocess.Popen[bytes]]) -> str:
    logs = [host.folder / f"{name}.{kind}" for name in DAEMONS for kind in ("log", "said")]
    lines = [f"{path.name}: {line}" for path in logs if path.exists() for line in path.read_text().splitlines()[-3:]]
    return " | ".join(["Slurm's daemons don't start", *lines])


def within(seconds: float, holds: Callable[[], object]) -> bool:
    """Whether something comes to hold in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return False


def _path(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])
