"""Thousand rows a second from PostgreSQL to ClickHouse, three ways in one run, and the transfer's peak memory.

Every way runs in a process of its own, against the same servers and rows, one after the other:
transfer: ours. row-wise: psycopg's rows inserted as tuples. engine pull: INSERT SELECT FROM postgresql(...).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg.sql import SQL, Literal
from rich.console import Console
from rich.table import Table

from backfill_pipeline.config import ClickHouseAddress, Limits, PostgresAddress
from backfill_pipeline.domain.datasets import CONVERSATIONS
from backfill_pipeline.domain.windows import midnight
from backfill_pipeline.stores.clickhouse import ClickHouse
from backfill_pipeline.stores.postgres import Postgres
from backfill_pipeline.worker.transfer import statements
from backfill_pipeline.worker.transfer.engine import Transfer
from backfill_pipeline.worker.transfer.recipes import RECIPES
from backfill_pipeline.worker.transfer.slices import Pace, Request, Slice
from backfill_pipeline_tests.worker import people, servers, targets

RESULTS = Path(__file__).parent / "results" / "transfer.json"
SCORES = 8
ROWS_PER_CONVERSATION = 1 + 1 + SCORES
CONVERSATIONS_PER_DAY = 20_000
FETCH = 10_000
PROCESS_BATCH = 50  # ids of the first slice, as the cron task has it; the pace then follows the time that slices take
REPEATS = 3
EXPECTED_RATIO = 2.5
FLAT = 1.2
FIRST = midnight(date(2026, 1, 1))
VERSION = datetime(2026, 3, 1, tzinfo=UTC)
ALL = tuple(t.table for t in CONVERSATIONS.targets)


@dataclass(frozen=True)
class Load:
    """What is moved in one run, of which customer: half a million rows and more, so that starting counts for little.

    The transfer finds scorecards by their conversations and scores by their scorecards, and reads these parents even where
    it is told not to write them; only `all three` is what it does in earnest.
    """

    tables: tuple[str, ...]
    customer: str
    rows_per_conversation: int
    dataset: str = "conversations"


LOADS = {
    "scorecard": Load(("scorecard",), "globex", 1),
    "score": Load(("score",), "acme", SCORES),
    "all three": Load(ALL, "acme", ROWS_PER_CONVERSATION),
    "process scorecard": Load(("scorecard",), "globex", 1, "process_scorecards"),
}


# The baselines' own statements: one plain join for the whole range, free of what our slices need.
_BELONGING = """
FROM app.chats AS c
JOIN director.scorecards AS s USING (customer_id, profile_id, conversation_id)
{scores} WHERE c.customer_id = {customer} AND c.profile_id = {profile} AND c.started_at >= {start}
  AND c.started_at < {end} AND NOT c.is_dev_user AND c.conversation_id <> '' AND s.scorecard_type IS NULL
"""
_SCORECARD = """
SELECT s.scorecard_id, s.conversation_id, c.started_at AS conversation_start_time, s.template_id, s.template_revision,
       s.submission_source, s.agent_user_id, s.creator_user_id, s.score, s.scorecard_time, s.submitted_at
"""
_SCORE = """
SELECT h.scorecard_id, h.criterion_id, s.conversation_id, c.started_at AS conversation_start_time, h.numeric_value,
       h.ai_value, h.text_value, h.not_applicable, h.weight
"""
_PROCESS = """
SELECT s.scorecard_id, '' AS conversation_id, s.scorecard_time AS conversation_start_time, s.template_id,
       s.template_revision, s.submission_source, s.agent_user_id, s.creator_user_id, s.score, s.scorecard_time,
       s.submitted_at
FROM director.scorecards AS s
JOIN director.scorecard_template_revisions AS r ON r.template_id = s.template_id AND r.revision = s.template_revision
WHERE s.customer_id = {customer} AND s.profile_id = {profile} AND s.scorecard_time >= {start}
  AND s.scorecard_time < {end} AND r.type = 2 AND coalesce(s.conversation_id, '') = '' AND s.scorecard_type IS NULL
"""
_SCORES = "JOIN director.historic_scorecard_scores AS h ON h.scorecard_id = s.scorecard_id"


def plain_join(dataset: str, table: str, request: Request) -> str:
    if table == "conversation":
        return statements.read_rows(RECIPES[dataset], table, request, Slice(request.start, request.end))
    if dataset == "process_scorecards":
        return SQL(_PROCESS).format(**literals_of(request)).as_string(None)
    selected, scores = (_SCORECARD, "") if table == "scorecard" else (_SCORE, _SCORES)
    return (SQL(selected) + SQL(_BELONGING).format(scores=SQL(scores), **literals_of(request))).as_string(None)


def literals_of(request: Request) -> dict[str, Literal]:
    values = {"customer": request.customer, "profile": request.profile, "start": request.start, "end": request.end}
    return {name: Literal(value) for name, value in values.items()}


class Quiet:
    def alive(self) -> None: ...
    def reached(self, cursor: object) -> None: ...
    def must_stop(self) -> bool:
        return False


def request_of(customer: str, conversations: int) -> Request:
    return Request(customer, "default", FIRST, FIRST + timedelta(days=days_of(conversations)))


def days_of(conversations: int) -> int:
    return max(1, -(-conversations // CONVERSATIONS_PER_DAY))


def by_transfer(postgres: Postgres, clickhouse: ClickHouse, request: Request, load: Load) -> None:
    recipe = RECIPES[load.dataset]
    dataset = replace(recipe.dataset, targets=tuple(t for t in recipe.dataset.targets if t.table in load.tables))
    pace = Pace(PROCESS_BATCH, Limits().slice_conversations) if load.dataset == "process_scorecards" else None
    Transfer(postgres, clickhouse, replace(recipe, dataset=dataset), request, VERSION, Limits(), Quiet(), pace).run()


def row_wise(postgres: Postgres, clickhouse: ClickHouse, request: Request, load: Load) -> None:
    client = clickhouse.shards[0].client()
    for table in load.tables:
        sql = plain_join(load.dataset, table, request)
        with postgres.snapshot() as connection, connection.cursor(name="rows") as cursor:
            cursor.itersize = FETCH
            cursor.execute(sql)
            names = [*(c.name for c in cursor.description or ()), "customer_id", "profile_id", "update_time"]
            while rows := cursor.fetchmany(FETCH):
                same = (request.customer, request.profile, VERSION)
                client.insert(table, [(*row, *same) for row in rows], column_names=names)


def engine_pull(postgres: Postgres, clickhouse: ClickHouse, request: Request, load: Load) -> None:
    address = postgres.address
    for table in load.tables:
        sql = plain_join(load.dataset, table, request)
        with postgres.connection() as connection:
            types = {c.name: c.type_display for c in connection.execute(f"{sql} LIMIT 0").description or ()}
        # The pull knows no zones: times must arrive as UTC without one.
        columns = ", ".join(f"{n} AT TIME ZONE 'UTC' AS {n}" if t == "timestamptz" else n for n, t in types.items())
        pulled = f"SELECT {columns} FROM ({sql}) AS rows".replace("\\", "\\\\").replace("'", "\\'")
        clickhouse.shards[0].client().command(
            f"INSERT INTO {table} (customer_id, profile_id, update_time, {', '.join(types)}) "
            f"SELECT '{request.customer}', 'default', toDateTime64('{VERSION:%F %T}', 6, 'UTC'), {', '.join(types)} "
            f"FROM postgresql('{address.host}:{address.port}', '{address.database}', query('{pulled}'), "
            f"'{address.user}', '')"
        )


METHODS: Mapping[str, Callable[[Postgres, ClickHouse, Request, Load], None]] = {
    "transfer": by_transfer,
    "row-wise": row_wise,
    "engine pull": engine_pull,
}


def child(job: dict[str, Any]) -> dict[str, float]:
    """One run of one method in this process: seconds and peak resident MiB, both after the imports."""
    postgres = Postgres(PostgresAddress(**job["postgres"]))
    clickhouse = ClickHouse(ClickHouseAddress(**job["clickhouse"]))
    request = request_of(job["customer"], job["conversations"])
    begun = time.perf_counter()
    METHODS[job["method"]](postgres, clickhouse, request, LOADS[job["load"]])
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


class Bench:
    """The servers, and runs of children against them."""

    def __init__(self, postgres: PostgresAddress, clickhouse: ClickHouse) -> None:
        self._postgres, self._clickhouse = postgres, clickhouse

    def run(self, method: str, customer: str, conversations: int, load: str) -> dict[str, float]:
        targets.create(self._clickhouse)
        job = {
            "method": method,
            "customer": customer,
            "conversations": conversations,
            "load": load,
            "postgres": self._postgres.model_dump(mode="json"),
            "clickhouse": self._clickhouse.address.model_dump(mode="json"),
        }
        command = [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(job)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=1800)
        measured: dict[str, float] = json.loads(done.stdout)
        self._refuse_partial(method, conversations, LOADS[load].tables)
        return measured

    def _refuse_partial(self, method: str, conversations: int, tables: tuple[str, ...]) -> None:
        expected = {"conversation": conversations, "scorecard": conversations, "score": conversations * SCORES}
        found = targets.counts(self._clickhouse)
        wrong = {t: found[t] for t in tables if found[t] != expected[t]}
        if wrong:
            raise SystemExit(f"{method} loaded {wrong} rows instead of {expected}: its time says nothing")

    def rates(self, sizes: Mapping[str, int]) -> dict[str, dict[str, float]]:
        """Thousand rows/s by method and load: medians of interleaved runs, so that a busy minute hits all alike."""
        seconds: dict[tuple[str, str], list[float]] = {}
        for _ in range(REPEATS):
            for name, load in LOADS.items():
                for method in METHODS:
                    measured = self.run(method, load.customer, sizes[load.customer], name)
                    seconds.setdefault((method, name), []).append(measured["seconds"])
        rows = {n: sizes[x.customer] * x.rows_per_conversation for n, x in LOADS.items()}
        return {m: {n: rows[n] / statistics.median(seconds[m, n]) / 1000 for n in LOADS} for m in METHODS}

    def memory(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Peak resident MiB of a transfer of all three tables, by total rows."""
        return {
            str(conversations * ROWS_PER_CONVERSATION): self.run("transfer", customer, conversations, "all three")[
                "rss_mib"
            ]
            for customer, conversations in sizes.items()
        }


def measure(rows: int, console: Console) -> dict[str, Any]:
    sizes = {"acme": rows // ROWS_PER_CONVERSATION, "globex": 5 * rows // ROWS_PER_CONVERSATION}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        server = stack.enter_context(servers.postgres_server(folder / "postgres"))
        source = servers.new_source(server, "source")
        gateway = servers.gateway(folder / "clickhouse", dial=source.port)  # the engine's own pull asks PostgreSQL
        clickhouse = ClickHouse(targets.address_of([stack.enter_context(gateway)]))
        for customer, conversations in sizes.items():
            console.print(f"filling PostgreSQL: {customer}, {conversations * ROWS_PER_CONVERSATION:,} rows")
            days = days_of(conversations)
            people.fill(source, customer, count=conversations, scores=SCORES, days=days, day=FIRST)
        people.fill_process(source, "globex", count=sizes["globex"], scores=1, days=days_of(sizes["globex"]), day=FIRST)
        bench = Bench(source, clickhouse)
        memory = bench.memory(sizes)
        return summary(bench.rates(sizes), memory)


def summary(rates: dict[str, dict[str, float]], memory: dict[str, float]) -> dict[str, Any]:
    base = rates["row-wise"]
    smaller, larger = memory.values()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "thousand_rows_per_second": {m: {t: round(v, 1) for t, v in by.items()} for m, by in rates.items()},
        "ratio_to_row_wise": {m: {t: round(v / base[t], 2) for t, v in by.items()} for m, by in rates.items()},
        "expected_ratio": EXPECTED_RATIO,
        "transfer_peak_rss_mib": {n: round(v, 1) for n, v in memory.items()},
        "rss_growth": round(larger / smaller, 3),
        "rss_is_flat": larger <= FLAT * smaller,
    }


def show(result: dict[str, Any], console: Console) -> None:
    table = Table("method", *(f"{t}, k rows/s (ratio)" for t in LOADS), title="PostgreSQL to ClickHouse")
    for method, rates in result["thousand_rows_per_second"].items():
        ratios = result["ratio_to_row_wise"][method]
        table.add_row(method, *(f"{rates[t]:,.0f} ({ratios[t]:.1f})" for t in LOADS))
    console.print(table)
    peaks = ", ".join(f"{mib:,.0f} MiB at {int(rows):,} rows" for rows, mib in result["transfer_peak_rss_mib"].items())
    console.print(f"peak memory of the transfer: {peaks}; growth {result['rss_growth']}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="of all three tables; memory also at five times that"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON only")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(json.loads(options.child))))
        return 0
    console = Console(stderr=options.json)
    result = measure(options.rows, console)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result)) if options.json else show(result, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
