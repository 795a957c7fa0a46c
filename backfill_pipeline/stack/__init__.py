"""The embedded stack: PostgreSQL, ClickHouse gateways, Temporal and Dagster on one machine, from nothing.

`supervisor.Stack` starts and stops it; nothing but the command line and the tests imports it.
"""
