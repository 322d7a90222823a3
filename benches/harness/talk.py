"""Drives one row with WebSocket messages that a service echoes; `talk` (benches/bare) is both the client and the service."""

import json
import subprocess

from .workshop import HOST, Trouble, cpu_seconds, free_port, pinned, resident_mebibytes
from .wrk import CONNECTIONS, Sample

PATH = "/talk"


def start_echo(workshop, talk):
    """The service; returns its port."""
    port = free_port()
    workshop.serve("echo", [talk, "echo", f"{HOST}:{port}"], workshop.load_core, port)
    return port


def drive(workshop, row, seconds, talk):
    """Load one row and return its sample; any error ends the benchmark."""
    before = cpu_seconds(row.process.pid)
    headers = [f"{name}: {value}" for name, value in row.headers.items()]
    command = [talk, "drive", f"{HOST}:{row.port}", row.path, CONNECTIONS, seconds, *headers]
    finished = subprocess.run(
        pinned(workshop.load_core, command), capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    used = cpu_seconds(row.process.pid) - before
    if finished.returncode:
        raise Trouble(f"{row.key}: {finished.stderr.strip()}")
    report = json.loads(finished.stdout)
    return Sample(
        rate=report["messages"] / report["seconds"], p50=report["p50"], p99=report["p99"],
        cpu=used / report["messages"] * 1e6, share=used / report["seconds"], memory=resident_mebibytes(row.process.pid),
    )
