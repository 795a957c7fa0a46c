"""The README's pictures: pages of a running stack (`backfill demo --keep`), by headless Chromium.

`make screenshots` installs what it needs and runs it. Deletes one row of the demo's ClickHouse copy by hand, so that a
check turns red: make the demo anew afterwards.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
from dagster_graphql import DagsterGraphQLClient
from playwright.sync_api import Page, sync_playwright

from backfill_pipeline.defs.partitions import range_tags
from backfill_pipeline.domain.windows import from_inclusive_days
from backfill_pipeline.stack.state import StackState, entered_stack

PICTURES = Path(__file__).parent / "pictures"
CHROMIUM = "/usr/bin/chromium"
ASSET, BAD_DAY = "conversations/north/acme", date(2026, 1, 7)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {
    "partitions": f"/assets/{ASSET}?view=partitions",
    "materialization": f"/assets/{ASSET}?view=partitions&partition=2026-01-03",
    "failed-check": f"/assets/{ASSET}?view=checks&checkDetail=count_parity",
    "lineage": f"/assets/{ASSET}?view=lineage",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".local"))
    state = entered_stack(parser.parse_args().folder)
    turn_red(state)
    PICTURES.mkdir(exist_ok=True)
    with browser() as page:
        for name, path in PAGES.items():
            take(page, f"{state.dagster_url}{path}", PICTURES / f"{name}.png")


@contextmanager
def browser() -> Iterator[Page]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium.new_page(viewport={"width": 1500, "height": 950})
        chromium.close()


def take(page: Page, url: str, picture: Path) -> None:
    page.goto(url)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(8000)  # its graphs are laid out after the last answer
    page.screenshot(path=picture)
    print(picture)


def turn_red(state: StackState) -> None:
    """One row gone from the copy, and a checks-only run over that day."""
    gateway = state.gateways["north"][0]
    client = clickhouse_connect.get_client(host=gateway.host, port=gateway.port)
    where = "customer_id = 'acme' AND toDate(conversation_start_time, 'UTC') = {day:Date}"
    chosen = f"SELECT min(conversation_id) FROM conversation WHERE {where}"  # noqa: S608
    found = client.query(chosen, parameters={"day": BAD_DAY})
    client.command(
        f"DELETE FROM conversation WHERE {where} AND conversation_id = {{id:String}} SETTINGS lightweight_deletes_sync = 2",  # noqa: S608
        parameters={"day": BAD_DAY, "id": found.result_rows[0][0]},
    )
    verified(state)


def verified(state: StackState) -> None:
    address = urlsplit(state.dagster_url or "")
    client = DagsterGraphQLClient(address.hostname or "", port_number=address.port)
    key = {"path": ASSET.split("/")}
    selector = {
        "repositoryLocationName": "backfill_pipeline",
        "repositoryName": "__repository__",
        "jobName": "verify",
        "assetSelection": [],
        "assetCheckSelection": [{"assetKey": key, "name": n} for n in ("count_parity", "duplicates")],
    }
    tags = [{"key": k, "value": v} for k, v in range_tags(from_inclusive_days(BAD_DAY, BAD_DAY)).items()]
    answer = client._execute(LAUNCH, {"params": {"selector": selector, "executionMetadata": {"tags": tags}}})
    run_id = answer["launchRun"]["run"]["runId"]
    while client.get_run_status(run_id).value not in ("SUCCESS", "FAILURE"):
        time.sleep(1)


LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""

if __name__ == "__main__":
    main()
