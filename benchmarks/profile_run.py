"""Where the seconds of the newest window of each customer went: in Dagster, in each step, in the transfer.

Reads the running stack's own records (`backfill demo --keep` first): Dagster's run, the step records in the ledger, and the
workflow's activity in Temporal, which is the transfer.
"""

import argparse
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table

from backfill_pipeline.config import Config, load
from backfill_pipeline.stack.state import entered_stack
from backfill_pipeline.steps.systems import open_systems

STEPS = ("inspect", "delete", "launch", "follow", "record")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".local"))
    config = load(entered_stack(parser.parse_args().folder).config_path)
    table = Table(
        "customer", "rows deleted", "run", *STEPS, "transfer", "Dagster", title="Seconds of one window of ten days"
    )
    with dg.DagsterInstance.get() as instance:
        for cluster in config.clusters:
            for customer in cluster.customers:
                table.add_row(*row(instance, config, cluster.name, customer.id))
    Console(width=110).print(table)


def row(instance: dg.DagsterInstance, config: Config, cluster: str, customer: str) -> list[str]:
    key = dg.AssetKey(["conversations", cluster, customer])
    event = instance.get_latest_materialization_event(key)
    if event is None or event.asset_materialization is None:
        return [customer, *["-"] * (len(STEPS) + 4)]
    metadata = event.asset_materialization.metadata
    steps = {n: float(s) for n, s in dict(metadata["seconds"].value).items()}
    record = instance.get_run_record_by_id(event.run_id)
    assert record is not None
    whole = (record.end_time or 0.0) - (record.start_time or 0.0)
    seconds = [steps[s] for s in STEPS]
    workflows = [line.split("/")[-1].split(")")[0] for line in str(metadata["workflows"].value).splitlines()]
    cells = [whole, *seconds, transfer_seconds(config, cluster, workflows), whole - sum(seconds)]
    return [customer, f"{int(str(metadata['rows deleted in the window'].value)):,}", *(f"{c:.1f}" for c in cells)]


def transfer_seconds(config: Config, cluster: str, workflows: list[str]) -> float:
    systems = open_systems(config, cluster, lambda _: None)
    try:
        found = [systems.temporal.status(w) for w in workflows]
        return max((f.closed_at - f.started_at).total_seconds() for f in found if f.closed_at and f.started_at)
    finally:
        systems.close()


if __name__ == "__main__":
    main()
