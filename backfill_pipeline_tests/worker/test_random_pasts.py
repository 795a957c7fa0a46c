"""Whatever happened in the source, and however its windows were reindexed: in the end the target equals the source.

200 histories in `make soak`, half of them on two shards; some in `make test`.
"""

import os
import random

import pytest

from backfill_pipeline.config import PostgresAddress
from backfill_pipeline.domain.datasets import DATASETS
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline_tests.e2e.compare import differences
from backfill_pipeline_tests.worker import targets
from backfill_pipeline_tests.worker.past import CUSTOMER, SPAN, Past

SOAK = int(os.environ.get("SOAK_HISTORIES", "200")) // 2
some_and_many = pytest.mark.parametrize(("histories", "seed"), [(1, 1), pytest.param(SOAK, 2, marks=pytest.mark.soak)])


@some_and_many
@pytest.mark.timeout(6 * 3600)
def test_the_target_equals_the_source_row_by_row_after_any_history(
    source: PostgresAddress, target: ClickHouse, histories: int, seed: int
) -> None:
    targets.create(target, targets.NEWER)
    for n in range(histories):
        lived(Past(source, target, random.Random(f"{seed} {n}")), n, histories)


@some_and_many
@pytest.mark.timeout(6 * 3600)
def test_on_two_shards_too_and_with_the_older_form_of_the_labels(
    source: PostgresAddress, two_shards: ClickHouse, histories: int, seed: int
) -> None:
    targets.create(two_shards, targets.OLDER)
    for n in range(histories):
        lived(Past(source, two_shards, random.Random(f"two {seed} {n}")), n, histories)


def lived(past: Past, number: int, histories: int) -> None:
    """Changes and windows in turn, and then every window of every dataset."""
    past.begin()
    for _ in range(past.chance.randint(2, 5)):
        for _ in range(past.chance.randint(1, 6)):
            past.happen()
        past.reindex(past.chance.choice(list(DATASETS)), past.some_window())
    for dataset, window in past.all_windows():
        past.reindex(dataset, window)
    found = differences(dsn(past.source), shards(past), CUSTOMER, SPAN.start, SPAN.end, process=True, labels=True)
    assert not found, f"{found}\nafter {', '.join(past.told)}"
    assert found.expected > 0
    changes = len([t for t in past.told if not t.startswith("reindex")])
    print(f"history {number + 1} of {histories}: {changes} changes, {len(past.told) - changes} windows", flush=True)


def shards(past: Past) -> list[tuple[str, int]]:
    return [(str(r.host), r.port) for s in past.target.shards for r in s.replicas]


def dsn(source: PostgresAddress) -> str:
    return (
        f"host={source.host} port={source.port} dbname={source.database} user={source.user} "
        f"password={source.password() or ''}"
    )
