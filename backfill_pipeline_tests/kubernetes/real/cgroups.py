"""A control group of the node's own in each hierarchy: containers are made in it, and it goes when they have gone."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backfill_pipeline_tests.kubernetes.real.cannot import NoNode

PREFIX = "backfill-pipeline-"
REMOVAL_SECONDS = 20


@contextmanager
def own_group() -> Iterator[str]:
    """Its name; the pid in it tells the next one which are left over."""
    remove_what_was_left()
    name = own_name()
    try:
        for hierarchy in hierarchies():
            _make(hierarchy / name)
        yield name
    finally:
        _remove(name)


def own_name() -> str:
    return f"{PREFIX}{os.getpid()}"


def hierarchies() -> list[Path]:
    mounts = [line.split(" ") for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")]


def _make(group: Path) -> None:
    try:
        group.mkdir(exist_ok=True)
    except OSError as error:
        raise NoNode(str(error), "run where control groups can be made") from None


def _remove(name: str) -> None:
    """A process that was killed leaves its group a moment later."""
    end = time.monotonic() + REMOVAL_SECONDS
    while left := [str(h / name) for h in hierarchies() if not _removed(h / name)]:
        assert time.monotonic() < end, f"still in use after {REMOVAL_SECONDS} s: {', '.join(left)}"
        time.sleep(0.1)


def _removed(group: Path) -> bool:
    """Only what nobody is in can be removed."""
    try:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    except OSError:
        return False
    return True


def remove_what_was_left() -> None:
    """By tests that were killed."""
    for group in [g for h in hierarchies() for g in h.glob(f"{PREFIX}*")]:
        if not Path("/proc", group.name.removeprefix(PREFIX)).exists():
            _removed(group)
