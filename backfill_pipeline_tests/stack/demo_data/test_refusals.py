"""Made-up rows, and the TRUNCATE before them, never reach a database that is not the demo's own."""

from pathlib import Path

import psycopg
import pytest

from backfill_pipeline.config import Config
from backfill_pipeline.domain.errors import PipelineError, Refused
from backfill_pipeline.stack.demo_data import FILE_NAME, generate
from backfill_pipeline.stack.demo_data.__main__ import main
from backfill_pipeline.stack.demo_data.loopback import is_loopback
from backfill_pipeline_tests.stack.demo_data import stacks
from backfill_pipeline_tests.stack.demo_data.conftest import Demo


def elsewhere(config: Config, side: str) -> Config:
    """The configuration with one cluster's PostgreSQL or ClickHouse on another machine (a documentation address)."""
    tree = config.model_dump(mode="json")
    address = tree["clusters"][1][side]
    (address if side == "postgres" else address["shards"][1]["replicas"][0])["host"] = "192.0.2.7"
    return Config.model_validate(tree)


def assert_source_has_rows(config: Config) -> None:
    for cluster in config.clusters:
        with psycopg.connect(stacks.dsn(cluster)) as connection:
            assert connection.execute("SELECT FROM app.chats LIMIT 1").fetchone() is not None


@pytest.mark.parametrize("side", ["postgres", "clickhouse"])
def test_another_machine_is_truncated(demo: Demo, side: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=rf"clusters\[name=south\].{side}: 192.0.2.7"):
        generate(elsewhere(demo.config, side), days=1, folder=tmp_path)
    assert not (tmp_path / FILE_NAME).exists()


def test_a_name_that_looks_like_loopback_is_trusted() -> None:
    for host in ("localhost.example.com", "127.0.0.1.example.com", "0.0.0.0", "10.0.0.1", "", "db"):
        assert not is_loopback(host)
    for host in ("localhost", "127.0.0.1", "127.0.0.53", "::1", "/run/postgresql"):
        assert is_loopback(host)


def test_real_rows_behind_a_port_forward_are_truncated(demo: Demo, tmp_path: Path) -> None:
    """On loopback may also stand the end of a port-forward: rows that the demo did not write stay."""
    south = Config(clusters=[demo.config.cluster("south")])
    with psycopg.connect(stacks.dsn(south.clusters[0])) as connection:
        connection.execute("ALTER TABLE public.filled_by_demo_data RENAME TO other")
    try:
        with pytest.raises(Refused, match=r"app\.chats"):
            generate(south, days=1, folder=tmp_path)
    finally:
        with psycopg.connect(stacks.dsn(south.clusters[0])) as connection:
            connection.execute("ALTER TABLE public.other RENAME TO filled_by_demo_data")
    assert_source_has_rows(south)


def test_real_rows_of_a_shard_are_truncated(demo: Demo, tmp_path: Path) -> None:
    south = Config(clusters=[demo.config.cluster("south")])
    client = stacks.shard_client(south.clusters[0], 1)
    client.command("RENAME TABLE filled_by_demo_data TO other")
    try:
        with pytest.raises(Refused, match="conversation, scorecard, score"):
            generate(south, days=1, folder=tmp_path)
        assert client.command("SELECT count() FROM conversation")
    finally:
        client.command("RENAME TABLE other TO filled_by_demo_data")


def test_the_first_cluster_is_emptied_though_the_second_refuses(demo: Demo, tmp_path: Path) -> None:
    client = stacks.shard_client(demo.config.cluster("south"), 1)
    client.command("RENAME TABLE filled_by_demo_data TO other")
    try:
        with pytest.raises(Refused):
            generate(demo.config, days=1, folder=tmp_path)
    finally:
        client.command("RENAME TABLE other TO filled_by_demo_data")
    assert stacks.shard_client(demo.config.cluster("north"), 0).command("SELECT count() FROM score")
    assert_source_has_rows(demo.config)


def test_demo_rows_are_emptied_though_they_were_to_be_kept(demo: Demo, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="--reset"):
        generate(demo.config, days=1, folder=tmp_path, reset=False)


def test_a_side_that_is_away_is_reported_without_its_address(demo: Demo, tmp_path: Path) -> None:
    tree = demo.config.model_dump(mode="json")
    tree["clusters"][0]["postgres"]["port"] = 1
    with pytest.raises(PipelineError, match=r"postgresql://127.0.0.1:1/north"):
        generate(Config.model_validate(tree), days=1, folder=tmp_path)


def test_the_command_ends_with_success_though_it_was_refused(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.json"
    path.write_text(elsewhere(demo.config, "postgres").model_dump_json())
    assert main(["--config", str(path), "--folder", str(tmp_path)]) == 2
    assert "not on loopback" in capsys.readouterr().err
