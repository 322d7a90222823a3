"""Does memory stay where it is? Minutes of everything at half of what the gateway can do, and its resident memory meanwhile."""

import collections
import statistics

from . import h2load
from .workshop import resident_mebibytes

PIECE = 5  # seconds of one protocol, until the next one has its turn
MOST = 0.05  # growth, of what there was at first


def watch(workshop, rows, minutes):
    """Load the rows in turn; the exit code is 1 where memory did not stay."""
    rates = {row.key: h2load.drive(workshop, row, PIECE).rate / 2 for row in rows}
    print("half load:", ", ".join(f"{key} {rate:,.0f}/s" for key, rate in rates.items()), flush=True)
    seen = collections.defaultdict(list)
    for turn in range(max(5, minutes * 60 // (PIECE * len(rows)))):
        for row in rows:
            h2load.drive(workshop, row, PIECE, rates[row.key])
            for pid in {row.process.pid for row in rows}:
                seen[pid].append(resident_mebibytes(pid))
        print(f"turn {turn + 1:>3}  " + "  ".join(f"{samples[-1]:.1f} MiB" for samples in seen.values()), flush=True)
    return max(drifted(samples) for samples in seen.values())


def drifted(samples):
    """Compares the last fifth with the second: during the first one, caches and pools fill. To shrink is no fault."""
    fifth = len(samples) // 5
    first, last = statistics.median(samples[fifth:2 * fifth]), statistics.median(samples[-fifth:])
    drift = last / first - 1
    print(f"{first:.1f} MiB at first, {last:.1f} MiB at last: {drift:+.1%}")
    return 0 if drift < MOST else 1
