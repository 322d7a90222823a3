"""Turns the samples of all rounds into one table: medians, spread, and ratios against the yardstick in the same round."""

import dataclasses
import math
import statistics

# What PERFORMANCE.md's goals compare, as (our row, the other row, at least this many times as fast).
GOALS = (
    ("session", "bare", 0.90),
    ("session", "bare", 0.95),
    ("session", "envoy-jwt", 1.9),
    ("session", "nginx-auth", 2.8),
    ("session", "haproxy-signature", 0.8),
    ("rules-10000", "rules-10", 0.95),
    ("sessions-1000", "sessions-10", 0.95),
    ("session-tls", "bare-tls", 0.95),
    ("session-h2", "bare-h2", 0.95),
    ("session-large", "bare-large", 0.95),
    ("session-ws", "bare-ws", 0.95),
)
SATURATED = 0.9  # a proxy that got less of its core than this was not what limited the rate
HEADINGS = ("", "requests/s", "min – max", "ratio", "min – max", "p50 ms", "p99 ms", "CPU µs", "core", "MiB")


@dataclasses.dataclass
class Line:
    """One row of the table, in numbers."""

    key: str
    label: str
    rate: float
    rate_spread: tuple
    ratio: float | None
    ratio_spread: tuple | None
    p50: float
    p99: float
    cpu: float
    share: float
    memory: float


def summary(rows, samples):
    """A line for each row that was measured; `samples` has a list per key, one sample a round."""
    return [line(row, samples[row.key], samples.get(row.yardstick)) for row in rows if row.key in samples]


def line(row, own, base):
    """Ratios are taken within a round, where the machine was in the same mood, and then their median."""
    ratios = [a.rate / b.rate for a, b in zip(own, base)] if base else None
    rates = [sample.rate for sample in own]

    def middle(name):
        return statistics.median(getattr(sample, name) for sample in own)

    return Line(
        row.key, row.label, statistics.median(rates), (min(rates), max(rates)),
        ratios and statistics.median(ratios), ratios and (min(ratios), max(ratios)),
        middle("p50"), middle("p99"), middle("cpu"), middle("share"), middle("memory"),
    )


def plain(line):
    """A line for JSON, which has no word for a number that is none."""
    return {name: None if value != value else value for name, value in dataclasses.asdict(line).items()}


def show(lines):
    """The table as aligned text."""
    cells = [HEADINGS, *map(written, lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    for row in cells:
        first, *others = (cell.ljust(width) if column == 0 else cell.rjust(width)
                          for column, (cell, width) in enumerate(zip(row, widths)))
        print("  ".join([first, *others]))


def written(line):
    """The cells of one line."""
    ratio, spread = ("–", "–") if line.ratio is None else (f"{line.ratio:.2f}", "{:.2f} – {:.2f}".format(*line.ratio_spread))
    return (
        f"{line.key}: {line.label}", f"{line.rate:,.0f}", "{:,.0f} – {:,.0f}".format(*line.rate_spread), ratio, spread,
        f"{line.p50 / 1000:.2f}", "–" if math.isnan(line.p99) else f"{line.p99 / 1000:.2f}", f"{line.cpu:.1f}", f"{line.share:.0%}", f"{line.memory:.0f}",
    )


def show_doubts(lines):
    """Say which figures are not the proxy's own."""
    idle = [line.key for line in lines if line.share < SATURATED]
    if idle:
        print(f"\nnot the bottleneck, or not alone on its core: {', '.join(idle)}; its rate is a lower bound, trust its CPU µs")


def show_goals(lines):
    """Each goal whose two rows were measured, met or not; by processor time too, which other people's work spoils less."""
    measured = {line.key: line for line in lines}
    for ours, theirs, least in GOALS:
        if ours in measured and theirs in measured:
            a, b = measured[ours], measured[theirs]
            ratio = a.ratio / b.ratio if a.ratio and b.ratio else a.rate / b.rate
            word = "met" if ratio >= least else "MISSED"
            print(f"{word:<6}  {ours} ≥ {least:.2f} × {theirs}: {ratio:.2f} (by CPU time {b.cpu / a.cpu:.2f})")
