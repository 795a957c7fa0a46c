"""`python -m backfill_pipeline.stack.demo_data`: fills a configured stack on this machine with demo data."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from datetime import date
from pathlib import Path
from time import monotonic

from backfill_pipeline import config
from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stack.demo_data import FILE_NAME, FIRST_DAY, Planted, generate

_EXAMPLES = """examples:
  # ten days for every customer of the configuration, 150 conversations a day (hooli 3,000)
  python -m backfill_pipeline.stack.demo_data --config .local/config.yaml --folder .local/demo

  # small and quick, over the turn of a month, with rows that fit no dataset
  python -m backfill_pipeline.stack.demo_data --config .local/config.yaml --folder /tmp/demo \\
      --size 0.2 --first-day 2026-01-28 --days 7 --odd

Both sides are emptied first. Only loopback addresses are accepted, and only tables that are empty or that
demo data has filled before. The file planted.json in the folder lists every defect with its ids."""


def _arguments(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="python -m backfill_pipeline.stack.demo_data", formatter_class=RawDescriptionHelpFormatter,
        description="Fill PostgreSQL and ClickHouse with demo data and planted defects.", epilog=_EXAMPLES,
    )  # fmt: skip
    parser.add_argument("--config", required=True, type=Path, help="configuration whose clusters are filled")
    parser.add_argument("--folder", required=True, type=Path, help="gets planted.json")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same rows (default 7)")
    parser.add_argument("--size", type=_size, default=1.0, help="1.0: 150 conversations per customer and day (default)")
    parser.add_argument("--first-day", type=date.fromisoformat, default=FIRST_DAY, help=f"default {FIRST_DAY}")
    parser.add_argument("--days", type=int, default=10, choices=range(1, 367), metavar="1..366", help="default 10")
    parser.add_argument("--odd", action="store_true", help="add rows that fit no dataset, so that UNCOVERED shows")
    parser.add_argument("--reset", action=BooleanOptionalAction, default=True, help="empty both sides first (default)")
    return parser.parse_args(arguments)


def _size(text: str) -> float:
    size = float(text)
    if not 0 < size <= 1000:
        raise ArgumentTypeError(f"expected a number above 0 and up to 1000, not {text}")
    return size


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 2 with the reason on standard error."""
    given = _arguments(arguments)
    started = monotonic()
    try:
        planted = generate(
            config.load(given.config), seed=given.seed, size=given.size, first_day=given.first_day, days=given.days,
            folder=given.folder, progress=_show, odd_rows=given.odd, reset=given.reset,
        )  # fmt: skip
    except PipelineError as error:
        print(error, file=sys.stderr)
        return config.EXIT_BAD_INPUT
    print(_summary(planted, given.folder / FILE_NAME, monotonic() - started))
    return 0


def _show(name: str, done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done}/{total} days  {name:<40}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _summary(planted: Planted, path: Path, seconds: float) -> str:
    kinds: Counter[str] = Counter()
    for defect in planted.defects:
        kinds[defect.kind] += len(defect.ids)
    lines = [f"  {name:<36} {count:>10,}" for name, count in sorted(planted.source_rows.items())]
    lines += [f"  ClickHouse {name:<25} {count:>10,}" for name, count in sorted(planted.target_rows.items())]
    lines += [f"  planted {kind:<28} {count:>10,}" for kind, count in sorted(kinds.items())]
    lines += [f"  days without a defect {len(planted.clean):>25,}"]
    return "\n".join([f"Demo data written in {seconds:.1f} s:", *lines, f"What was planted: {path}"])


if __name__ == "__main__":
    sys.exit(main())
