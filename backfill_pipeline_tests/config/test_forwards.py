"""`forward` of an address: what it may be, and where a mistake in it stands."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from backfill_pipeline.config import Cluster, Config, ConfigError, load

FORWARD: dict[str, Any] = {"target": "service/db", "port": 5432, "context": "north", "namespace": "databases"}
SHORT = {"target": "pod/db-0", "port": 5432}
KUBERNETES = {"kind": "kubernetes", "context": "north", "namespace": "jobs", "kubeconfig": "/etc/kubeconfig"}


def written(tmp_path: Path, **cluster: Any) -> Path:
    path = tmp_path / "config.yaml"
    tree = {"name": "north", **cluster, "customers": [{"id": "acme"}]}
    path.write_text(yaml.safe_dump({"clusters": [tree]}, sort_keys=False))
    return path


def error_of(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path)
    return str(raised.value)


def all_three(forward: dict[str, Any]) -> dict[str, Any]:
    return {
        "postgres": {"database": "app", "forward": forward},
        "clickhouse": {"shards": [{"replicas": [{"forward": forward}, {"host": "ch-1"}]}]},
        "temporal": {"forward": forward},
    }


def forwards_of(cluster: Cluster) -> list[Any]:
    assert cluster.postgres
    assert cluster.clickhouse
    assert cluster.temporal
    return [cluster.postgres.forward, cluster.clickhouse.shards[0].replicas[0].forward, cluster.temporal.forward]


def test_until_it_is_open_no_address_leads_anywhere(tmp_path: Path) -> None:
    cluster = load(written(tmp_path, **all_three(FORWARD))).cluster("north")
    assert cluster.postgres
    assert cluster.clickhouse
    assert cluster.temporal
    assert (cluster.postgres.host, cluster.postgres.port) == ("127.0.0.1", 0)
    assert cluster.clickhouse.shards[0].replicas[0].port == 0
    assert cluster.clickhouse.shards[0].replicas[1].port == 8123
    assert cluster.temporal.address == "127.0.0.1:0"


@pytest.mark.parametrize("place", ["before", "after"])
def test_what_it_leaves_out_is_the_launchers_wherever_that_stands(tmp_path: Path, place: str) -> None:
    parts = [{"launcher": KUBERNETES}, all_three(SHORT)]
    both = {k: v for part in (parts if place == "before" else parts[::-1]) for k, v in part.items()}
    for forward in forwards_of(load(written(tmp_path, **both)).cluster("north")):
        assert (forward.context, forward.namespace, str(forward.kubeconfig)) == ("north", "jobs", "/etc/kubeconfig")


def test_what_it_says_wins_over_the_launcher(tmp_path: Path) -> None:
    given = {**FORWARD, "context": "other"}
    for forward in forwards_of(load(written(tmp_path, launcher=KUBERNETES, **all_three(given))).cluster("north")):
        assert (forward.context, forward.namespace) == ("other", "databases")


@pytest.mark.parametrize(
    ("part", "address", "key", "expected"),
    [
        ("postgres", {"database": "a"}, "postgres.host", "Field required"),
        ("temporal", {"namespace": "a"}, "temporal.address", "Field required"),
        ("clickhouse", {"shards": [{"replicas": [{"port": 1}]}]}, "clickhouse.shards[0].replicas[0].host", "Field required"),
        ("postgres", {"database": "a", "host": None}, "postgres.host", "valid string"),
        ("postgres", {"database": "a", "host": "db", "forward": FORWARD}, "postgres", "host: not beside `forward`"),
        ("postgres", {"database": "a", "port": 5432, "forward": FORWARD}, "postgres", "port: not beside `forward`"),
        ("temporal", {"address": "t:7233", "forward": FORWARD}, "temporal", "address: not beside `forward`"),
        ("postgres", {"database": "a", "forward": {**FORWARD, "target": "db"}}, "postgres.forward.target", "pattern"),
        ("postgres", {"database": "a", "forward": {**FORWARD, "target": "pod/-x"}}, "postgres.forward.target", "pattern"),
        ("postgres", {"database": "a", "forward": {**FORWARD, "port": 0}}, "postgres.forward.port", "greater than"),
        ("postgres", {"database": "a", "forward": {**FORWARD, "ports": 1}}, "postgres.forward.ports", "unknown key"),
        ("postgres", {"database": "a", "forward": {**FORWARD, "namespace": "A b"}}, "postgres.forward.namespace", "pattern"),
        ("temporal", {"forward": SHORT}, "temporal", "forward.context, forward.namespace: required"),
        ("temporal", {"forward": {**SHORT, "namespace": "a"}}, "temporal", "forward.context: required"),
        ("clickhouse", {"shards": [{"replicas": [{"forward": SHORT}]}]}, "clickhouse", "forward.context, forward.namespace"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_line_and_key(
    tmp_path: Path, part: str, address: dict[str, Any], key: str, expected: str
) -> None:
    path = written(tmp_path, **{part: address})
    lines = path.read_text().splitlines()
    message = error_of(path)
    last = key.rpartition(".")[2]
    line = next((n for n, text in enumerate(lines, 1) if text.strip(" -").startswith(f"{last}:")), None)
    assert f": clusters[0].{key}: " in message, message
    assert line is None or f"{path}:{line}: clusters[0].{key}: " in message, message
    assert expected in message


def test_only_one_mistake_is_told_where_a_forward_is_wrong(tmp_path: Path) -> None:
    message = error_of(written(tmp_path, postgres={"database": "a", "forward": {**FORWARD, "port": 0}}))
    assert "has 1 mistake." in message


def test_two_replicas_behind_the_same_forward_are_one_given_twice(tmp_path: Path) -> None:
    address = {"shards": [{"replicas": [{"forward": FORWARD}, {"forward": FORWARD}]}]}
    assert "replica given twice" in error_of(written(tmp_path, clickhouse=address))


def test_the_ledger_is_not_forwarded(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text() + yaml.safe_dump({"ledger": {"database": "l", "forward": FORWARD}}))
    assert f"{path}:5: ledger: forward: only for addresses of a cluster" in error_of(path)


def test_what_is_written_out_again_means_the_same(tmp_path: Path) -> None:
    """The embedded stack writes a configuration of what it was given."""
    config = load(written(tmp_path, launcher=KUBERNETES, **all_three(SHORT)))
    assert Config.model_validate(config.model_dump(mode="json", exclude_unset=True)) == config
