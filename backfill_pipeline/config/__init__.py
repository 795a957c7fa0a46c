"""The configuration file: YAML or JSON in, typed models out, errors that name file, line and key.

Secrets never stand in the file: only the name of the environment variable (or the path of the file) that holds them.
The form of the older scripts (`clusters[].name`, `clusters[].customers[].{id, profile}`) loads unchanged.
"""

from backfill_pipeline.config.addresses import (
    ClickHouseAddress,
    PostgresAddress,
    Replica,
    Secret,
    Shard,
    TemporalAddress,
)
from backfill_pipeline.config.base import EXIT_BAD_INPUT, ConfigError, missing_variable
from backfill_pipeline.config.health import HealthLimits
from backfill_pipeline.config.limits import Limits, Verification
from backfill_pipeline.config.load import ENV_CONFIG, check_secrets, load, load_from_environment
from backfill_pipeline.config.models import Cluster, Config, Customer, required
from backfill_pipeline.config.reach import Forward, Launcher, Reached, each_reached, reached

__all__ = [
    "ENV_CONFIG",
    "EXIT_BAD_INPUT",
    "ClickHouseAddress",
    "Cluster",
    "Config",
    "ConfigError",
    "Customer",
    "Forward",
    "HealthLimits",
    "Launcher",
    "Limits",
    "PostgresAddress",
    "Reached",
    "Replica",
    "Secret",
    "Shard",
    "TemporalAddress",
    "Verification",
    "check_secrets",
    "each_reached",
    "load",
    "load_from_environment",
    "missing_variable",
    "reached",
    "required",
]
