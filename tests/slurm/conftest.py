"""A private Slurm of two nodes on the loopback interface, with enforced memory limits."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

PACKAGES = "slurmctld slurmd slurm-client munge"
NODES = ("n1", "n2")
IDLE = ("sinfo", "--noheader", "--Node", "--states", "idle", "--format", "%N")
UP = ("sinfo", "--noheader", "--Node", "--states", "idle,mixed,alloc", "--format", "%N")
#: Debian keeps daemons where an ordinary search path does not look.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CONFIG = """\
ClusterName=trial
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/run/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd-%n.pid
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,defer=0,bf_interval=2
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
KillWait=2
ReturnToService=2
MinJobAge=86400
AccountingStorageType=accounting_storage/none
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=16 RealMemory=16000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=16 RealMemory=16000
PartitionName=main Nodes=ALL Default=YES DefaultTime=00:10:00 MaxTime=08:00:00 State=UP
"""


class Slurm:
    """The private cluster: every daemon is a child of this process and ends with it."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.root = root
        self._stack = stack
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("bin", "run", "state", "spool"):
            (root / name).mkdir()
        (root / "munge.key").write_bytes(os.urandom(1024))
        (root / "munge.key").chmod(0o400)
        self.conf = root / "slurm.conf"
        self.conf.write_text(CONFIG.format(root=root, ports=_free_ports(3)))
        self._wrap_srun()
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join(
                [str(root / "bin"), str(Path(sys.executable).parent), SEARCH_PATH]
            ),
            "SLURM_CONF": str(self.conf),
        }

    def _wrap_srun(self) -> None:
        # the plugin takes every SLURM_* variable from its inner srun, the place of the file too
        wrapper = self.root / "bin" / "srun"
        program = shutil.which("srun", path=SEARCH_PATH)
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.conf} exec {program} "$@"\n')
        wrapper.chmod(0o755)

    def start(self) -> None:
        """Start authentication, controller and nodes, and wait until the nodes are idle."""
        run = self.root / "run"
        self._daemon(
            [
                *("munged", "--foreground", f"--key-file={self.root}/munge.key"),
                *(f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid"),
                *(f"--log-file={run}/munged.log", f"--seed-file={run}/munge.seed"),
            ]
        )
        self.wait((run / "munge.socket").exists, "munged")
        self.start_controller("-c")
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: len(self.ask(*IDLE).split()) == len(NODES), "nodes")

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._nodes[node] = self._daemon(["slurmd", "-D", "-f", str(self.conf), "-N", node])

    @contextmanager
    def without_node(self, node: str) -> Iterator[None]:
        """Let a node crash with all it does, and bring it back at the end."""
        jobs = self.ask("squeue", "-h", "-t", "RUNNING", "-w", node, "-o", "%i").split()
        self._nodes[node].kill()
        self._nodes[node].wait()
        for process in _ours(self.root):
            with suppress(psutil.NoSuchProcess):
                text = " ".join(process.cmdline())
                if any(f"[{job}." in text for job in jobs) and "slurmstepd" in text:
                    for each in [process, *process.children(recursive=True)]:
                        with suppress(psutil.NoSuchProcess):
                            each.kill()
        yield
        self.start_node(node)
        self.wait(lambda: node in self.ask(*UP).split(), f"node {node}")

    def start_controller(self, *options: str) -> None:
        """Start slurmctld; without ``-c`` it takes up the jobs it knew."""
        self._controller = self._daemon(["slurmctld", "-D", "-f", str(self.conf), *options])

    @contextmanager
    def without_controller(self, *, forgetting: bool = False) -> Iterator[None]:
        """Stop slurmctld and start it again at the end; jobs go on meanwhile."""
        _stop(self._controller)
        yield
        self.start_controller(*(["-c"] if forgetting else []))
        self.wait(lambda: self.ask("sinfo", "--noheader"), "controller")

    def _daemon(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.root / "run" / f"{command[0]}.out").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self.environment)
        self._stack.callback(_stop, process)
        return process

    def ask(self, *command: str) -> str:
        """Return what a Slurm command prints, empty when it fails."""
        answer = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )
        return answer.stdout.strip()

    def jobs(self, state: str = "RUNNING") -> list[str]:
        """Return the ids of the jobs in a state."""
        return self.ask("squeue", "-h", "-t", state, "-o", "%i").split()

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 30) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                logs = [path.read_text()[-2000:] for path in (self.root / "run").glob("*.out")]
                pytest.fail(f"{what}: nothing after {seconds} s\n" + "\n".join(logs))
            time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ours(root: Path) -> list[psutil.Process]:
    """List what runs on this cluster; others, with jobs of the same numbers, may run beside it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            # slurmstepd writes its title over its environment: it is known by its children
            step = "slurmstepd" in process.name()
            told = process.children() if step else [process]
            if any(_is_started_by(root, each) for each in told):
                found.append(process)
    return found


def _is_started_by(root: Path, process: psutil.Process) -> bool:
    return process.environ().get("PATH", "").startswith(f"{root}{os.sep}")


def _end_what_is_left(root: Path) -> None:
    """Kill jobs that outlived their end: a Snakemake told twice to end waits for itself."""
    for process in _ours(root):
        with suppress(psutil.NoSuchProcess):
            process.kill()


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    programs = ("slurmctld", "slurmd", "sbatch", "munged")
    absent = [name for name in programs if shutil.which(name, path=SEARCH_PATH) is None]
    if absent:
        pytest.skip(f"no {', '.join(absent)} here: install the packages {PACKAGES}")
    if os.getuid():
        pytest.skip("a private Slurm can be started by root only")
    # not below pytest's folders: other users, munge among them, have to get in
    root = Path(tempfile.mkdtemp(prefix="slurm-"))
    root.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        stack.callback(_end_what_is_left, root)
        cluster = Slurm(root, stack)
        cluster.start()
        stack.callback(cluster.ask, "scancel", "--user", "root")
        yield cluster
