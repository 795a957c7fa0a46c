"""Dagster: thin shells around the steps. What a step does is in `steps/`; what Dagster needs to know of it is here."""
