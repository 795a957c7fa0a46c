"""Values that no part behind the configuration could work with: they are refused where they are written."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from annotated_types import Le
from pydantic import BaseModel, ValidationError, create_model

from backfill_pipeline.config import Config, ConfigError, HealthLimits, Limits, PostgresAddress, load
from backfill_pipeline_tests.config.conftest import GOOD, Written
from backfill_pipeline_tests.config.test_load import models_in

POSTGRES = "    postgres: {{host: h, database: d, {}}}"
CLICKHOUSE = "    clickhouse: {{shards: [{{replicas: [{{host: h}}]}}], {}}}"
FORWARDED = "    postgres: {{database: d, forward: {{target: pod/p, port: 1, namespace: n, {}}}}}"
LAUNCHER = "    launcher: {{kind: kubernetes, {}}}"
WAITS = ("lease_seconds", "poll_seconds", *(f"{of}_deadline_seconds" for of in ("delete", "job", "follow")))
PLACES = {
    "limits": "limits: {{{}}}",
    "health": "health: {{{}}}",
    "verification": "verification: {{{}}}",
    "clusters[0]": "    {}",
    "clusters[0].postgres": POSTGRES,
    "clusters[0].clickhouse": CLICKHOUSE,
    "clusters[0].postgres.forward": FORWARDED,
    "clusters[0].launcher": LAUNCHER,
}


def with_value(place: str, key: str, value: str) -> str:
    """The good file with this key on its line 1, or among those of its cluster on line 3."""
    line = PLACES[place].format(f"{key}: {value}")
    text = GOOD.split("\n", 2)[2]  # its own limits go
    return text.replace("    customers:", f"{line}\n    customers:") if line.startswith(" ") else f"{line}\n{text}"


@pytest.mark.parametrize(
    ("place", "key", "value", "expected"),
    [
        *(("limits", key, "1.0e+15", "less than or equal to 2592000") for key in (*WAITS, "retry_delay_seconds")),
        *(("limits", key, "0", "greater than or equal to 0.01") for key in WAITS),
        ("limits", "lease_seconds", "1.0e-9", "greater than or equal to 0.01"),
        ("limits", "retry_delay_seconds", "-1", "greater than or equal to 0"),
        ("limits", "retry_attempts", "1_000_000", "less than or equal to 1000"),
        ("limits", "retry_attempts", "false", "expected a number, found false"),
        ("limits", "retry_delay_seconds", "no", "expected a number, found false"),
        ("limits", "max_job_rows", "1.0e+18", "less than or equal to 1000000000000000"),
        ("limits", "slice_conversations", "1_000_000_000", "less than or equal to 10000000"),
        ("health", "deadline_seconds", "1.0e+15", "less than or equal to 2592000"),
        ("health", "postgres_replica_lag_seconds", "1.0e+15", "less than or equal to 2592000"),
        ("health", "clickhouse_memory_ratio", "false", "expected a number, found false"),
        ("health", "clickhouse_running_mutations", "true", "expected a number, found true"),
        ("verification", "days", "true", "expected a number, found true"),
        ("clusters[0]", "max_runs", "1001", "less than or equal to 1000"),
        ("clusters[0]", "max_runs", "true", "expected a number, found true"),
        ("clusters[0]", "retention_days", "1_000_000", "less than or equal to 36600"),
        ("clusters[0].postgres", "port", "true", "expected a number, found true"),
        ("clusters[0].postgres", "statement_timeout_seconds", "2_200_000", "less than or equal to 604800"),
        ("clusters[0].clickhouse", "connect_timeout_seconds", "1_000_000_000", "less than or equal to 604800"),
        ("clusters[0].postgres", "sslmode", "abc", "'disable', 'allow', 'prefer', 'require', 'verify-ca' or 'verify-full'"),
        ("clusters[0].postgres", "password_file", "''", "expected a path, found an empty one"),
        ("clusters[0].launcher", "kubeconfig", "''", "expected a path, found an empty one"),
        ("clusters[0].launcher", "context", "--as=admin", "should match pattern '^[^-]'"),
        ("clusters[0].launcher", "context", "''", "should match pattern '^[^-]'"),
        ("clusters[0].postgres.forward", "context", "-x", "should match pattern '^[^-]'"),
        ("clusters[0].postgres.forward", "kubeconfig", "''", "expected a path, found an empty one"),
    ],
)  # fmt: skip
def test_what_can_not_work_is_taken_and_met_by_a_run(
    written: Written, place: str, key: str, value: str, expected: str
) -> None:
    path = written(with_value(place, key, value))
    line = 3 if place.startswith("clusters") else 1
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert f"{path}:{line}: {place}.{key}: " in str(raised.value)
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("limits", "retry_attempts", "0"),
        ("limits", "retry_delay_seconds", "0"),
        ("limits", "lease_seconds", "8"),
        ("limits", "poll_seconds", "'0.3'"),
        ("limits", "job_deadline_seconds", "604800"),
        ("health", "clickhouse_memory_ratio", "1"),
        ("health", "postgres_replica_lag_seconds", "null"),
        ("clusters[0]", "retention_days", "7300"),
        ("clusters[0].postgres", "sslmode", "verify-full"),
        ("clusters[0].postgres", "port", "'5432'"),
        ("clusters[0].launcher", "context", "arn:aws:eks:region:1:cluster/north"),
    ],
)
def test_a_value_that_works_is_refused(written: Written, place: str, key: str, value: str) -> None:
    load(written(with_value(place, key, value)))


def most(model: type[BaseModel], name: str) -> float:
    return min(float(str(bound.le)) for bound in model.model_fields[name].metadata if isinstance(bound, Le))


def test_the_largest_that_is_taken_overflows_where_it_is_used() -> None:
    policy = Limits.model_validate({name: most(Limits, name) for name in Limits.model_fields}).retry_policy
    assert policy.delay * 2**16 > policy.delay  # as domain/retries.py doubles it at most
    assert most(Limits, "job_deadline_seconds") < 2**31  # activeDeadlineSeconds
    assert most(PostgresAddress, "statement_timeout_seconds") * 1000 < 2**31  # PostgreSQL keeps milliseconds


def all_models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            yield from all_models(inner)


def is_number(annotation: Any) -> bool:
    return annotation in (int, float) or any(map(is_number, get_args(annotation)))


def refuses(model: type[BaseModel], name: str, value: object) -> bool:
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return any(e["loc"][:1] == (name,) for e in error.errors())
    return False


def takes_anything(model: type[BaseModel]) -> set[str]:
    """Its numbers, and those of the models in it, that take a boolean, a value without bounds or a negative one."""
    return {
        f"{each.__name__}.{name} takes {value!r}"
        for each in all_models(model)
        for name, field in each.model_fields.items()
        if is_number(field.annotation)
        for value in (True, False, 10**18, -1)
        if not refuses(each, name, value)
    }


def test_a_new_number_without_bounds_or_one_that_takes_a_boolean_goes_unseen() -> None:
    assert takes_anything(Config) == set()
    met = {n for m in all_models(Config) for n, f in m.model_fields.items() if is_number(f.annotation)}
    assert {"retry_attempts", "lease_seconds", "max_runs", "retention_days", "port", "window_days", "days"} <= met
    assert set(HealthLimits.model_fields) <= met
    wider = create_model("Wider", __base__=Limits, added=(float | None, None))
    changed = create_model("Changed", __base__=Config, limits=(wider, wider()), ledger=(PostgresAddress | None, None))
    assert takes_anything(changed) == {f"Wider.added takes {value}" for value in ("True", "False", str(10**18), "-1")}
