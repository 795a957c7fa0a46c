"""Words and decisions, pure: no I/O, no Dagster, no clients. Everything here can be tested with plain values."""
