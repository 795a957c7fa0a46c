"""What the factory makes of a configuration."""

from datetime import date

import dagster as dg
import pytest

from backfill_pipeline.clients.dagster_instance import pools
from backfill_pipeline.config import Config
from backfill_pipeline.definitions import definitions_of
from backfill_pipeline.defs.assets import build
from backfill_pipeline.defs.ops import AssetId
from backfill_pipeline.defs.partitions import own, plain

IDS = ["acme", "acme-east", "acme_east", "acme.east", "Acme", "1"]
TREE = {
    "clusters": [
        {"name": "north-1", "customers": [{"id": i, "window_days": 7, "owner": "team:data"} for i in IDS]},
        {"name": "south", "customers": [{"id": "acme"}]},
    ],
    "ledger": {"host": "127.0.0.1", "database": "ledger"},
}
CONFIG = Config.model_validate(TREE)


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return definitions_of(CONFIG).get_repository_def()


def test_ids_that_look_alike_do_not_keep_the_definitions_from_loading(repository: dg.RepositoryDefinition) -> None:
    repository.load_all_definitions()
    keys = {k.to_user_string() for k in repository.asset_graph.get_all_asset_keys()}
    assert {f"conversations/north-1/{i}" for i in IDS} | {"conversations/south/acme", "ready/south"} <= keys


def test_customers_are_not_merged_into_one_run_their_partitions_are_equal_in_days_only() -> None:
    definitions = [own(date(2026, 1, 1), of.key) for of in build(CONFIG).ids]
    assert len(set(map(repr, definitions))) == len(definitions) == len(IDS) + 1
    assert all(d != plain(date(2026, 1, 1)) for d in definitions)
    assert {tuple(d.get_partition_keys()) for d in definitions} == {tuple(plain(date(2026, 1, 1)).get_partition_keys())}


def test_no_way_of_launching_gets_round_the_limits_every_run_needs_the_clusters_and_the_customers_pool(
    repository: dg.RepositoryDefinition,
) -> None:
    limits = dict(pools(CONFIG))
    for of in build(CONFIG).ids:
        used = _pools_of(repository, of)
        assert {limits[p] for p in used} == {1, 2}, used
        assert len(used) == 2


def _pools_of(repository: dg.RepositoryDefinition, of: AssetId) -> set[str]:
    asset = repository.assets_defs_by_key[of.key]
    return {op.pool for op in asset.node_def.iterate_op_defs() if op.pool}  # type: ignore[attr-defined]


def test_every_asset_has_its_gate_its_sources_all_checks_and_an_owner(repository: dg.RepositoryDefinition) -> None:
    graph = repository.asset_graph
    key = AssetId("conversations", "north-1", "acme-east").key
    parents = {k.to_user_string() for k in graph.get(key).parent_keys}
    assert parents == {
        "ready/north-1",
        "source/north-1/app/chats",
        "source/north-1/director/scorecards",
        "source/north-1/director/historic_scorecard_scores",
    }
    assert {c.name for c in graph.get_check_keys_for_assets({key})} == {
        "count_parity",
        "duplicates",
        "template_coverage",
        "quarantine",
    }
    assert list(graph.get(key).owners) == ["team:data"]
    assert graph.get(key).backfill_policy == dg.BackfillPolicy.multi_run(7)


def test_labels_come_after_the_conversations_of_their_day_and_have_checks_of_their_own() -> None:
    config = Config.model_validate({**TREE, "datasets": ["conversations", "labels"]})
    graph = definitions_of(config).get_repository_def().asset_graph
    node = graph.get(AssetId("labels", "south", "acme").key)
    assert {k.to_user_string() for k in node.parent_keys} == {
        "ready/south",
        "source/south/app/chats",
        "source/south/app/agent_assist_events",
        "conversations/south/acme",
    }
    assert {c.name for c in graph.get_check_keys_for_assets({node.key})} == {
        "count_parity",
        "duplicates",
        "one_to_one",
        "active_days",
        "quarantine",
    }
    assert "temporal" not in node.kinds


def test_labels_without_the_dataset_that_comes_before_them_load_too() -> None:
    config = Config.model_validate({**TREE, "datasets": ["labels"]})
    graph = definitions_of(config).get_repository_def().asset_graph
    parents = {k.to_user_string() for k in graph.get(AssetId("labels", "south", "acme").key).parent_keys}
    assert "conversations/south/acme" not in parents
