"""The configuration of the story, and its data: the source with partitions for the struck, and a right or broken copy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.sql import SQL, Identifier, Literal

from backfill_pipeline.config import Cluster, Config, required
from backfill_pipeline.domain import contracts
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.stack.demo_data import FIRST_DAY, generate
from backfill_pipeline.stack.demo_data.generate import DAILY_CONVERSATIONS
from backfill_pipeline.stack.processes import PROJECT
from backfill_pipeline.stores.postgres import Postgres
from benchmarks.january.story import Story

CRONJOB = "cron-batch-reindex-conversations.yaml"
PARTITIONED = ("app.chats", "director.scorecards")


@dataclass(frozen=True)
class Patience:
    """How long failing takes; None: the product's own. Shorter ones change nothing but the time.

    tries, silence: of a transfer, and the seconds after which Temporal takes one that is silent for dead.
    retry_delay: seconds before the first automatic retry.
    deadlock: seconds after which PostgreSQL looks for one.
    """

    tries: int | None = None
    silence: int | None = None
    retry_delay: float | None = None
    deadlock: float | None = None

    def job_env(self) -> dict[str, str]:
        given = {
            contracts.ENV_CONVERSATIONS_MAX_ATTEMPTS: self.tries,
            contracts.ENV_CONVERSATIONS_HEARTBEAT_TIMEOUT: f"{self.silence}s" if self.silence else None,
        }
        return {name: str(value) for name, value in given.items() if value is not None}


def write_configuration(story: Story, patience: Patience, max_runs: int, folder: Path) -> Path:
    """All addresses are left to the embedded stack; the CronJob is a copy whose Jobs have the patience in their env."""
    folder.mkdir(parents=True, exist_ok=True)
    launcher = {"kind": "local", "manifests": str(_manifests(patience, folder)), "jobs": str(folder / "jobs")}
    limits = {"retry_delay_seconds": patience.retry_delay} if patience.retry_delay is not None else {}
    clusters = [
        {
            "name": name,
            "first_day": FIRST_DAY.isoformat(),
            "max_runs": max_runs,
            "launcher": launcher,
            "customers": [{"id": i, "window_days": story.days} for i in ids],
        }
        for name, ids in story.customers.items()
    ]
    path = folder / "january.yaml"
    path.write_text(yaml.safe_dump({"datasets": [CONVERSATIONS.name], "limits": limits, "clusters": clusters}))
    return path


def _manifests(patience: Patience, folder: Path) -> Path:
    tree: dict[str, Any] = yaml.safe_load((PROJECT / "deploy" / "cronjobs" / CRONJOB).read_text())
    container = tree["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    container["env"] += [{"name": name, "value": value} for name, value in patience.job_env().items()]
    manifests = folder / "cronjobs"
    manifests.mkdir(exist_ok=True)
    (manifests / CRONJOB).write_text(yaml.safe_dump(tree))
    return manifests


def fill(story: Story, config: Config, folder: Path, patience: Patience) -> Mapping[str, int]:
    """Both sides anew, with planted defects; gives the rows of each table of the source."""
    for cluster in config.clusters:
        with source(cluster) as database:
            for table in PARTITIONED:
                _partition(database, table, [s.customer for s in story.struck if s.cluster == cluster.name])
            if patience.deadlock is not None:
                name = required(cluster.postgres, cluster.name, "postgres").database
                database.execute(
                    SQL("ALTER DATABASE {} SET deadlock_timeout = {}").format(
                        Identifier(name), Literal(f"{patience.deadlock * 1000:.0f}ms")
                    )
                )
    times = {c: n / DAILY_CONVERSATIONS for c, n in story.conversations_a_day().items()}
    return generate(config, days=story.days, folder=folder, times_as_large=times).source_rows


def source(cluster: Cluster) -> psycopg.Connection[Any]:
    """A connection of somebody else's to the cluster's source; it commits each statement by itself."""
    address = required(cluster.postgres, cluster.name, "postgres")
    return psycopg.connect(Postgres(address).conninfo(), autocommit=True, application_name="somebody else")


def partition_of(table: str, customer: str) -> Identifier:
    """The customer's own part of the table, as a large customer has one: what locks it leaves the others alone."""
    schema, name = table.split(".")
    return Identifier(schema, f"{name}_of_{customer}")


def _partition(database: psycopg.Connection[Any], table: str, customers: list[str]) -> None:
    """An empty table becomes one with a part for each of these customers and one for all others."""
    schema, name = table.split(".")
    whole, others = Identifier(schema, name), Identifier(schema, f"{name}_of_others")
    if not customers:
        return
    with database.transaction():
        database.execute(SQL("ALTER TABLE {} RENAME TO {}").format(whole, Identifier(f"{name}_of_others")))
        database.execute(
            SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL) PARTITION BY LIST (customer_id)").format(whole, others)
        )
        database.execute(SQL("ALTER TABLE {} ATTACH PARTITION {} DEFAULT").format(whole, others))
        for statement in _own_parts(table, customers):
            database.execute(statement)


def _own_parts(table: str, customers: list[str]) -> Iterator[Any]:
    whole = Identifier(*table.split("."))
    for customer in customers:
        yield SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({})").format(
            partition_of(table, customer), whole, Literal(customer)
        )
