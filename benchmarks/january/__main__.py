"""January once more, from an empty folder to a proof of every day.

python -m benchmarks.january                  # 8 clusters, 260 customers, 31 days
python -m benchmarks.january --short          # 2 clusters, 6 customers, 11 days; failing is quicker
python -m benchmarks.january --short --kills  # daemon and worker killed, Temporal away for a minute
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.january.outcome import show
from benchmarks.january.run import January, carried_out
from benchmarks.january.site import Patience
from benchmarks.january.story import SPREAD, story

RESULTS = Path(__file__).parents[1] / "results"
SHORT: dict[str, Any] = {
    "clusters": 2,
    "customers": 6,
    "days": 11,
    "tries": 2,
    "silence": 6,
    "retry_delay": 2.0,
    "deadlock": 0.3,
}
FULL: dict[str, Any] = {
    "clusters": 8,
    "customers": 260,
    "days": 31,
    "tries": None,
    "silence": None,
    "retry_delay": None,
    "deadlock": None,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 only if every day of every customer is proved equal and nobody had to lend a hand."""
    options = _options(arguments)
    january = _january(options)
    console = Console(width=130)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="january-"))
    try:
        outcome, pages = carried_out(january, folder, lambda line: console.print(line, highlight=False, soft_wrap=True))
    finally:
        if not (options.folder or options.keep):
            shutil.rmtree(folder, ignore_errors=True)
    show(outcome, console)
    path = options.results or RESULTS / f"{january.name}.json"
    replace(outcome, command=_command(arguments)).write(path)
    pages_path = path.with_suffix(".md")
    pages_path.write_text(pages.replace(str(folder), "FOLDER"), encoding="utf-8")
    console.print(
        f"\n{path}\nwhat the operator sees of the first failed run of each fault: {pages_path}", soft_wrap=True
    )
    return 0 if outcome.is_right else 1


def _january(options: argparse.Namespace) -> January:
    given = {**(SHORT if options.short else FULL)}
    given |= {name: value for name in given if (value := getattr(options, name)) is not None}
    told = story(given["clusters"], given["customers"], given["days"], options.scale)
    patience = Patience(given["tries"], given["silence"], given["retry_delay"], given["deadlock"])
    return January(told, patience, options.max_runs, options.kills, options.deadline)


def _command(arguments: Sequence[str] | None) -> str:
    """As anybody may repeat it: where its stack stood says nothing."""
    given = [str(a) for a in (sys.argv[1:] if arguments is None else arguments)]
    places = {n for at, a in enumerate(given) if a in ("--folder", "--results") for n in (at, at + 1)}
    return " ".join(["python -m benchmarks.january", *(a for n, a in enumerate(given) if n not in places)])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.january", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="the small form; the other options change it")
    parser.add_argument("--kills", action="store_true", help="with a daemon, a worker and a Temporal that go away")
    parser.add_argument("--clusters", type=int, choices=range(2, len(SPREAD) + 1), metavar=f"2..{len(SPREAD)}")
    parser.add_argument("--customers", type=int, help="in the proportions of the seeds, at least two a cluster")
    parser.add_argument("--days", type=int, choices=range(2, 32), metavar="2..31")
    parser.add_argument("--scale", type=float, default=0.001, help="of the real volumes (default 0.001)")
    parser.add_argument("--max-runs", type=int, default=2, help="runs at once per cluster (default 2)")
    parser.add_argument("--tries", type=int, help="of a transfer, within Temporal; default: the product's")
    parser.add_argument("--silence", type=int, help="seconds until Temporal takes a transfer for dead; as before")
    parser.add_argument("--retry-delay", type=float, help="seconds before the first automatic retry; as before")
    parser.add_argument("--deadlock", type=float, help="deadlock_timeout of the sources in seconds; PostgreSQL's own")
    parser.add_argument("--deadline", type=float, default=6 * 3600, help="seconds for all backfills (default 6 h)")
    parser.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary one that is removed")
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder, for a look at its logs")
    parser.add_argument("--results", type=Path, help="the JSON file; default: in benchmarks/results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
