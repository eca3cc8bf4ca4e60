"""What was measured, as text and as a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import S3KVError
from .results import PERCENTILES, Result
from .verdict import Verdict

_BLUE, _GREY = "#1f6feb", "#8b95a5"


def lines_of(result: Result, verdict: Verdict) -> Iterator[str]:
    """The result for people."""
    yield f"objects of {result.size:,} bytes, up to {result.concurrency} requests in flight"
    for name, rate, what in (
        ("put", result.put, "objects"),
        ("get", result.get, "objects"),
        ("list", result.list, "keys"),
    ):
        line = f"  {name:<5}{rate.per_second:>12,.0f} {what}/s"
        if rate.bytes:
            line += f"{rate.bytes_per_second / 1e6:>10,.1f} MB/s, {rate.latency * 1e3:,.1f} ms each"
        yield f"{line}{'' if rate.bytes else '   '}  CPU {rate.cpu_share:.0%}, {rate.retries:,} retries"
    yield f"one after the other, {', '.join(f'p{percent}' for percent in PERCENTILES)}"
    for name, latencies in (("put", result.put_latency), ("get", result.get_latency)):
        shown = ", ".join(f"{latencies.percentile(percent) * 1e3:,.1f}" for percent in PERCENTILES)
        yield f"  {name:<5}{shown} ms"
    large = result.large
    yield f"one object of {large.size / 1024**2:,.0f} MiB"
    yield f"  {'put':<5}{large.put_rate / 1e6:>12,.1f} MB/s"
    yield f"  {'get':<5}{large.get_rate / 1e6:>12,.1f} MB/s"
    yield f"What limits small reads. {verdict.text}"


def load_chart_library() -> Any:
    """Matplotlib's Figure class.

    Raises:
        S3KVError: it is not installed; names the extra.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise S3KVError("--chart needs matplotlib: pip install 's3kv[bench]'") from error

    def make(**options: Any) -> Any:
        figure = Figure(**options)
        FigureCanvasAgg(figure)
        return figure

    return make


def draw(result: Result, verdict: Verdict, title: str, path: str, make_figure: Any) -> None:
    """Write a picture of the rates and of how long single operations took."""
    from matplotlib.ticker import LogLocator

    figure = make_figure(figsize=(11, 4.2), layout="constrained")
    rates, times = figure.subplots(1, 2)
    names = ["put\nobjects/s", "get\nobjects/s", "list\nkeys/s"]
    values = [rate.per_second for rate in (result.put, result.get, result.list)]
    bars = rates.bar(names, values, color=_BLUE)
    rates.bar_label(bars, [f"{value:,.0f}" for value in values], padding=2)
    # Of objects and keys there are not equally many; the numbers are there to be read.
    rates.set_yscale("log")
    rates.set_ylim(min(values) / 10, max(values) * 2)
    rates.set_yticks([], [])
    rates.minorticks_off()
    rates.spines["left"].set_visible(False)
    rates.set_title(f"{result.size:,} bytes, {result.concurrency} in flight", fontsize=10)
    for name, latencies, colour in (
        ("put", result.put_latency, _GREY),
        ("get", result.get_latency, _BLUE),
    ):
        seconds = latencies.seconds
        shares = [100 * (number + 1) / len(seconds) for number in range(len(seconds))]
        times.step([1e3 * each for each in seconds], shares, where="post", label=name, color=colour)
    times.set_xscale("log")
    times.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    times.xaxis.set_major_formatter("{x:g}")
    times.minorticks_off()
    times.set_xlabel("ms, one after the other")
    times.set_ylabel("% done by then")
    times.legend()
    times.set_title(f"limited by: {verdict.limit}", fontsize=10)
    for place in (rates, times):
        place.spines[["top", "right"]].set_visible(False)
    # Where it came from could be taken for a formula.
    figure.suptitle(title.replace("$", r"\$"), fontsize=11)
    figure.savefig(path, dpi=120)
