"""Drives one row with wrk and takes down what happened, to the client and to the measured process."""

import dataclasses
import json
import subprocess

from .workshop import Trouble, cpu_seconds, pinned, resident_mebibytes

CONNECTIONS = 64
LENGTH_TOLERANCE = 0.02  # a date or a duration in a header may differ by a digit; another page differs by more

# `done` runs once after the measurement, so it costs nothing during it. Times are microseconds.
REPORT = """
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'REPORT {"requests": %d, "duration": %d, "bytes": %d, "socket": %d, "status": %d, "p50": %d, "p99": %d}\\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclasses.dataclass
class Sample:
    """One run of one row."""

    rate: float  # requests a second
    p50: float  # microseconds
    p99: float  # microseconds
    cpu: float  # microseconds of processor time the proxy used for a request
    share: float  # of its core that the proxy got; well under 1: it was not the bottleneck, or the core was not its own
    memory: float  # MiB resident after the run


def drive(workshop, row, seconds):
    """Load one row and return its sample; any error ends the benchmark."""
    length = row.answer_length()
    before = cpu_seconds(row.process.pid)
    report = run(workshop, row, seconds)
    used = cpu_seconds(row.process.pid) - before
    refuse_errors(row, report, length)
    elapsed = report["duration"] / 1e6
    return Sample(
        rate=report["requests"] / elapsed, p50=report["p50"], p99=report["p99"], cpu=used / report["requests"] * 1e6,
        share=used / elapsed, memory=resident_mebibytes(row.process.pid),
    )


def run(workshop, row, seconds):
    """wrk's own counts of one run."""
    script = workshop.folder / f"{row.key}.lua"
    script.write_text((row.script or "") + REPORT)
    headers = [word for name, value in row.headers.items() for word in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, *headers, row.url()]
    finished = subprocess.run(
        pinned(workshop.load_core, command), capture_output=True, text=True, timeout=seconds + 30, check=False
    )
    for line in finished.stdout.splitlines():
        if line.startswith("REPORT "):
            return json.loads(line.removeprefix("REPORT "))
    raise Trouble(f"wrk failed on {row.key}:\n{finished.stdout}{finished.stderr}")


def refuse_errors(row, report, length):
    """A fast refusal or a redirect is no throughput: wrk counts only 4xx and 5xx, so the length tells the rest."""
    if report["requests"] == 0:
        raise Trouble(f"{row.key}: no answer at all")
    if report["status"] or report["socket"]:
        raise Trouble(f"{row.key}: {report['status']} answers were not 2xx, {report['socket']} socket errors")
    good = report["requests"] * length
    # Answers under way when the time is up are counted in bytes and not in number.
    if not -LENGTH_TOLERANCE <= (report["bytes"] - good) / good <= LENGTH_TOLERANCE + CONNECTIONS / report["requests"]:
        mean = report["bytes"] / report["requests"]
        raise Trouble(f"{row.key}: answers of {mean:.0f} bytes on average where a good one has {length}")
