from pathlib import Path
from typing import Any

import pytest

from backfill_pipeline.config import Config, load
from backfill_pipeline.stack.embedded_config import (
    CLUSTERS,
    PARTS,
    Embedded,
    complete,
    embedded,
    made_up,
    source_database,
    write,
)

SHARDS = {c.name: c.shards for c in CLUSTERS}
REAL_POSTGRES = {"host": "db.internal", "database": "app", "password_env": "NORTH_PG_PASSWORD"}
REAL_CLICKHOUSE = {"shards": [{"replicas": [{"host": "ch.internal"}]}]}
REAL_TEMPORAL = {"address": "temporal.internal:7233"}


def parts_of(config: Config, parts: frozenset[str] = PARTS, own_storage: bool = False) -> Embedded:
    return embedded(config, SHARDS, parts, own_storage=own_storage)


def user_config(**addresses: Any) -> Config:
    cluster = {"name": "north", "customers": [{"id": "acme"}], **addresses}
    return Config.model_validate({"clusters": [cluster]})


def filled(config: Config, folder: Path, parts: frozenset[str] = PARTS) -> Config:
    needed = parts_of(config, parts)
    ports = {name: 20_000 + n for n, name in enumerate(needed.port_names())}
    write(complete(config, needed, ports, folder), folder / "config.yaml")
    return load(folder / "config.yaml", need_secrets=False)


def test_the_made_up_clusters_have_the_shapes_that_break_things(tmp_path: Path) -> None:
    config = filled(made_up(CLUSTERS), tmp_path)
    assert [c.id for c in config.cluster("north").customers] == ["acme", "acme-east", "globex"]
    assert config.cluster("north").customer("globex").profiles == ["retail", "support"]
    south = config.cluster("south").clickhouse
    assert south is not None
    assert len(south.shards) == 2
    assert all(c.window_days == 10 for cluster in config.clusters for c in cluster.customers)


def test_no_process_looks_for_the_manifests_or_jobs_in_its_own_folder(tmp_path: Path) -> None:
    for cluster in filled(made_up(CLUSTERS), tmp_path).clusters:
        assert cluster.launcher.manifests.is_absolute()
        assert cluster.launcher.jobs == tmp_path / "jobs"


@pytest.mark.parametrize(
    ("given", "left_alone"),
    [("postgres", "source"), ("clickhouse", "gateway"), ("temporal", "temporal")],
)
def test_an_address_of_the_user_is_kept_and_nothing_is_started_for_it(
    tmp_path: Path, given: str, left_alone: str
) -> None:
    real: dict[str, Any] = {"postgres": REAL_POSTGRES, "clickhouse": REAL_CLICKHOUSE, "temporal": REAL_TEMPORAL}
    config = user_config(**{given: real[given]})
    parts = parts_of(config)
    assert not any(name.startswith(left_alone) for name in [*parts.port_names(), *map(source_database, parts.sources)])
    assert getattr(filled(config, tmp_path).cluster("north"), given) == getattr(config.cluster("north"), given)


def test_a_real_temporal_is_never_given_our_worker() -> None:
    assert parts_of(user_config(temporal=REAL_TEMPORAL)).workers == ()
    assert parts_of(user_config()).workers == ("north",)


def test_no_postgres_is_started_where_every_database_is_the_users_own() -> None:
    config = user_config(postgres=REAL_POSTGRES).model_copy(
        update={"ledger": user_config(postgres=REAL_POSTGRES).clusters[0].postgres}
    )
    assert not parts_of(config, own_storage=True).postgres
    assert parts_of(config, own_storage=False).postgres  # Dagster's storage still needs one


def test_a_part_left_out_gets_no_address_that_nobody_answers_at(tmp_path: Path) -> None:
    config = filled(made_up(CLUSTERS), tmp_path, frozenset({"postgres"}))
    assert all(c.clickhouse is None and c.temporal is None for c in config.clusters)
    assert config.ledger is not None


def test_the_older_form_of_a_configuration_is_filled_in_too(tmp_path: Path) -> None:
    older = tmp_path / "config.json"
    older.write_text('{"clusters": [{"name": "north", "customers": [{"id": "acme", "profile": "retail"}]}]}')
    cluster = filled(load(older), tmp_path).cluster("north")
    assert cluster.customer("acme").profiles == ["retail"]
    assert cluster.postgres is not None
    assert cluster.postgres.database == "source_north"


def test_two_long_cluster_names_never_share_a_database_because_postgres_cuts_names() -> None:
    names = [source_database("c" * 60 + end) for end in ("one", "two")]
    assert len({n[:63] for n in names}) == 2
    assert all(len(n) <= 63 for n in names)
