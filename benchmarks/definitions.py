"""Seconds until Dagster has loaded the definitions of 260 customers on 8 clusters, and until `backfill --help` has printed."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CUSTOMERS = (86, 80, 49, 28, 6, 5, 4, 2)
REPEATS = 5
LOAD = """
import time
begun = time.perf_counter()
from backfill_pipeline.config import load
from backfill_pipeline.definitions import definitions_of
repository = definitions_of(load({path!r}, need_secrets=False)).get_repository_def()
repository.load_all_definitions()
print(time.perf_counter() - begun, len(list(repository.asset_graph.get_all_asset_keys())))
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(configuration()))
        loads = [
            printed([sys.executable, "-W", "ignore", "-c", LOAD.format(path=str(path))]).split() for _ in range(REPEATS)
        ]
    seconds = statistics.median(float(s) for s, _ in loads)
    print(f"definitions of {sum(CUSTOMERS)} customers ({loads[0][1]} assets), imports included: {seconds:.2f} s")
    print(f"backfill --help, whole process: {statistics.median(help_seconds() for _ in range(REPEATS)):.2f} s")


def configuration() -> dict[str, object]:
    clusters = [
        {
            "name": f"cluster{n}",
            "customers": [{"id": f"customer-{n}-{i}", "profiles": ["default"]} for i in range(count)],
        }
        for n, count in enumerate(CUSTOMERS)
    ]
    return {"clusters": clusters, "ledger": {"host": "127.0.0.1", "database": "ledger"}}


def help_seconds() -> float:
    begun = time.perf_counter()
    printed([str(Path(sys.executable).with_name("backfill")), "--help"])
    return time.perf_counter() - begun


def printed(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
