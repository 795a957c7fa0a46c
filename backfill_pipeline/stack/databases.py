"""A step of the start: databases and source schemas in the embedded PostgreSQL. Repeating it is harmless.

`python -m backfill_pipeline.stack.databases --port N --database ledger --source source_north`
"""

import argparse
import os
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.stack.password import ENV_PASSWORD
from backfill_pipeline.stack.postgres import USER

SOURCE_SCHEMA = Path(__file__).parent / "schema" / "source.sql"
CONNECT_SECONDS = 30


def main() -> None:
    arguments = _arguments()
    with _connect(arguments.port, "postgres") as server:
        for name in [*arguments.database, *arguments.source]:
            ensure_database(server, name)
    for name in arguments.source:
        with _connect(arguments.port, name) as database:
            database.execute(SOURCE_SCHEMA.read_text(encoding="utf-8").encode())
    sys.stdout.write("databases are there\n")


def ensure_database(server: psycopg.Connection, name: str) -> None:
    """The database `name`, empty if it was not there."""
    if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", action="append", default=[])
    parser.add_argument("--source", action="append", default=[], help="a database that gets the source's schema")
    return parser.parse_args()


def _connect(port: int, database: str) -> psycopg.Connection:
    """Tries again until the deadline: just after its ready line the server may still refuse."""
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return psycopg.connect(
                host=LOOPBACK,
                port=port,
                user=USER,
                password=os.environ[ENV_PASSWORD],
                dbname=database,
                autocommit=True,
                connect_timeout=5,
            )
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
