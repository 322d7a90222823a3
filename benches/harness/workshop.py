"""A folder, two cores and the processes on them, all gone when the `with` block ends, however it ends.

Every child is told to die with us (`setpriv --pdeathsig`), so that not even `kill -9` of the benchmark leaves one behind.
Ports are whatever is free at the moment, and only on 127.0.0.1.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"
START_LIMIT = 20  # seconds a server may take until it answers
STOP_LIMIT = 3  # seconds a server may take to leave after SIGTERM
TICKS = os.sysconf("SC_CLK_TCK")


class Trouble(Exception):
    """Something the reader of the screen must know; the benchmark stops."""


class Workshop:
    """Starts servers, the measured ones on `proxy_core`, everything else on `load_core`."""

    def __init__(self, keep=False):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Trouble("two cores are needed: one for the proxy, one for the load and the upstream")
        self.proxy_core, self.load_core = cores[0], cores[1]
        self.keep = keep
        self.servers = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: sys.exit(128 + received))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="portcullis-bench."))
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for server in self.servers.values():
            server.terminate()
        for server in self.servers.values():
            stop(server)
        if self.keep:
            print(f"configurations and logs are in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def room(self, name):
        """A folder of its own for one server."""
        room = self.folder / name
        room.mkdir(exist_ok=True)
        return room

    def start(self, name, command, core, environment=None, quiet=False):
        """Run a server on one core; its output goes to files in its room, standard error to nowhere when `quiet`."""
        room = self.room(name)
        with open(room / "stdout", "wb") as out, open(os.devnull if quiet else room / "stderr", "wb") as err:
            self.servers[name] = subprocess.Popen(
                pinned(core, command), cwd=room, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=os.environ | (environment or {}),
            )
        return self.servers[name]

    def wait(self, name, ready):
        """Poll until `ready()` is true; say what the server wrote when it died or took too long."""
        deadline = time.monotonic() + START_LIMIT
        while not ready():
            if self.servers[name].poll() is not None:
                raise Trouble(f"{name} ended while starting:\n{self.output(name)}")
            if time.monotonic() > deadline:
                raise Trouble(f"{name} is not ready after {START_LIMIT} s:\n{self.output(name)}")
            time.sleep(0.02)

    def serve(self, name, command, core, port):
        """Start a server and wait until its port accepts."""
        process = self.start(name, command, core)
        self.wait(name, lambda: accepts(port))
        return process

    def output(self, name):
        """The last lines of what a server wrote."""
        files = (self.room(name) / "stdout", self.room(name) / "stderr")
        text = "".join(file.read_text(errors="replace") for file in files if file.exists())
        return "\n".join(text.splitlines()[-15:])


def pinned(core, command):
    """The command on one core, killed by the kernel when this script dies."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *map(str, command)]


def stop(server):
    """End a process, politely first."""
    server.terminate()
    try:
        server.wait(STOP_LIMIT)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def free_port():
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def accepts(port):
    """Whether a connection to the port succeeds."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def cpu_seconds(pid):
    """What a process has used of the processor so far, all threads, user and kernel."""
    # The name in the second field may hold spaces and parentheses: count from the last one.
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mebibytes(pid):
    """The resident memory of a process."""
    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
