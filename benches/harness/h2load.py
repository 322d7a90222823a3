"""Drives one row with h2load, of nghttp2: few connections with several streams each, as browsers and gRPC clients have them.

And at a rate that is not the highest, which wrk cannot; there over HTTP/1.1, too.
"""

import re
import subprocess

from .workshop import Trouble, cpu_seconds, pinned, resident_mebibytes
from .wrk import Sample

CONNECTIONS = 16
STREAMS = 4  # as many requests at a time as wrk has connections


def drive(workshop, row, seconds, rate=None):
    """Load one row, with so many requests a second or as many as it can take, and return its sample; any error ends the benchmark."""
    _, body = row.answer()
    before = cpu_seconds(row.process.pid)
    text = run(workshop, row, seconds, rate)
    used = cpu_seconds(row.process.pid) - before
    requests = answered(row, text, len(body))
    mean = re.search(r"time for request:\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)\b", text)
    middle = float(mean[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[mean[2]]
    return Sample(
        rate=requests / seconds, p50=middle, p99=float("nan"), cpu=used / requests * 1e6,
        share=used / seconds, memory=resident_mebibytes(row.process.pid),
    )


def run(workshop, row, seconds, rate):
    """What h2load prints."""
    protocol, clients, streams = ("h2", CONNECTIONS, STREAMS) if row.driver == "h2load" else ("http/1.1", CONNECTIONS * STREAMS, 1)
    speed = [] if rate is None else [f"--rps={rate / clients:.1f}"]
    headers = [word for name, value in row.headers.items() for word in ("-H", f"{name.lower()}: {value}")]
    # Debian's h2load offers only what `--npn-list` says; without "h2" agreed upon it would fall back to HTTP/1.1.
    spoken = ["--npn-list=h2"] if protocol == "h2" else ["--h1"]
    command = ["h2load", f"-c{clients}", f"-m{streams}", "-t1", f"-D{seconds}", *spoken, *speed, *headers, row.url()]
    finished = subprocess.run(
        pinned(workshop.load_core, command), capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    if finished.returncode or f"Application protocol: {protocol}" not in finished.stdout:
        raise Trouble(f"h2load failed on {row.key}:\n{finished.stdout}{finished.stderr}")
    return finished.stdout


def answered(row, text, length):
    """How many good answers there were; a failed, refused or shorter one is no throughput."""
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    good = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
    data = re.search(r"\((\d+)\) data", text)
    succeeded = int(done[1]) if done else 0
    if not succeeded or any(int(done[n]) for n in (2, 3, 4)) or any(int(good[n]) for n in (2, 3, 4)):
        raise Trouble(f"{row.key}: not every answer was good:\n{text}")
    # Answers under way when the time is up are counted in bytes and not in number.
    if not 0 <= int(data[1]) - succeeded * length <= CONNECTIONS * STREAMS * length:
        raise Trouble(f"{row.key}: {data[1]} bytes for {succeeded} answers of {length}")
    return succeeded
