import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, create_model

from backfill_pipeline.config import Config, ConfigError, Limits, Secret, load, load_from_environment, required
from backfill_pipeline.config.strict_yaml import Place, line_of
from backfill_pipeline.domain.errors import Kind
from backfill_pipeline_tests.config.conftest import GOOD, Written

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"
TWICE = "{shards: [{replicas: [{host: a, port: 1}, {host: a, port: 1}]}]}"


def error_of(path: Path) -> str:
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert raised.value.kind is Kind.STOP
    return str(raised.value)


def test_a_good_file_loads(written: Written) -> None:
    assert [c.id for c in load(written(GOOD)).cluster("north").customers] == ["acme", "acme-east"]


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "expected"),
    [
        ("limits:", "limitz: {}\nlimits:", 1, "limitz", "unknown key"),
        ("max_window_days: 31", "lease_seconds: .inf", 2, "limits.lease_seconds", "finite number"),
        ("max_window_days: 31", "retry_delay_seconds: .nan", 2, "limits.retry_delay_seconds", "finite number"),
        ("max_window_days: 31", "max_windows: 31", 2, "limits.max_windows", "unknown key"),
        ("profiles: [default]", "profile_ids: [default]", 7, "clusters[0].customers[0].profile_ids", "unknown key"),
        ("id: acme-east", "id: acme", 4, "clusters[0]", "customer of cluster north given twice: acme; expected each once"),
        ("[default]", "[default, default]", 4, "clusters[0]", "profile of customer acme given twice: default"),
        ("id: acme-east", "id: acme east", 8, "clusters[0].customers[1].id", "expected an id of the form [A-Za-z0-9._-]"),
        ("id: acme-east", 'id: ""', 8, "clusters[0].customers[1].id", "expected an id of the form"),
        ("id: acme-east", f"id: {'a' * 64}", 8, "clusters[0].customers[1].id", "expected an id of the form"),
        ("name: north", "name: north/1", 4, "clusters[0].name", "expected an id of the form"),
        ("[default]", "[default, 'a,b']", 7, "clusters[0].customers[0].profiles[1]", "expected an id of the form"),
        ("id: acme-east", "id: 12", 8, "clusters[0].customers[1].id", "should be a valid string"),
        ("id: acme-east", "id: no", 8, "clusters[0].customers[1].id", "should be a valid string"),
        ("max_window_days: 31", "max_window_days: many", 2, "limits.max_window_days", "should be a valid integer"),
        ("max_window_days: 31", "max_window_days: 0", 2, "limits.max_window_days", "greater than or equal to 1"),
        ("id: acme-east", "profiles: [a]", 8, "clusters[0].customers[1].id", "Field required"),
        ("[default]", "[]", 7, "clusters[0].customers[0].profiles", "at least 1 item"),
        ("name: north", "name: north\n    first_day: soon", 5, "clusters[0].first_day", "valid date"),
        ("name: north", "name: north\n    clickhouse: {shards: []}", 5, "clusters[0].clickhouse.shards", "at least 1 item"),
        ("name: north", f"name: north\n    clickhouse: {TWICE}", 5, "clusters[0].clickhouse", "replica given twice: a:1;"),
        ("limits:", "datasets: [conversation]\nlimits:", 1, "datasets", "unknown dataset conversation; expected some of"),
        ("limits:", "1: x\nlimits:", 1, "[1]", "Keys should be strings"),
        ("limits:", "datasets: []\nlimits:", 1, "datasets", "at least 1 item"),
        ("limits:", "verification: {cron: every day}\nlimits:", 1, "verification.cron", "should match pattern"),
        ("limits:", "verification: {cron: 99 99 * * *}\nlimits:", 1, "verification.cron", "99 (at most 23)"),
        ("name: north", "name: '..'", 4, "clusters[0].name", "expected an id of the form"),
        ("name: north", "name: north\n    postgres: {host: h, database: d, port: 70000}", 5, "clusters[0].postgres.port", "655"),
        ("id: acme-east", "id: acme-east\n        owner: bob", 9, "clusters[0].customers[1].owner", "should match pattern"),
        ("id: acme-east", "id: acme-east\n        window_days: 60", 1, "the whole file", "window_days above limits"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_file_line_and_key_with_what_was_expected(
    written: Written, old: str, new: str, line: int, key: str, expected: str
) -> None:
    assert GOOD.count(old) == 1
    path = written(GOOD.replace(old, new))
    message = error_of(path)
    assert f"{path}:{line}: {key}: " in message, message
    assert expected in message


def test_no_mistake_is_hidden_behind_the_first(written: Written) -> None:
    message = error_of(written(GOOD.replace("31", "0").replace("acme-east", "a b").replace("profiles", "profils")))
    assert "3 mistakes" in message
    assert all(key in message for key in ("limits.max_window_days", "customers[1].id", "customers[0].profils"))


def test_a_cluster_given_twice_is_never_the_last_one_silently(written: Written) -> None:
    text = GOOD + GOOD.split("clusters:\n")[1]
    assert "cluster given twice: north; expected each once" in error_of(written(text))


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        (GOOD.replace("  max_window_days: 31", "  max_window_days: 31\n  max_window_days: 3"), 3, "`max_window_days` stands"),
        (GOOD + "limits: {}\n", 9, "the key `limits` stands twice"),
        (GOOD.replace("- id: acme\n", "- {id: acme, id: hooli}\n", 1).replace("        profiles: [default]\n", ""), 6, "`id`"),
        ("clusters:\n  - [unclosed\n", 3, "expected ',' or ']'"),
        ("clusters:\n\t- name: north\n", 2, "found character"),
        ("clusters: [a\n---\n", 2, "expected"),
        ("clusters: *nowhere\n", 1, "undefined alias"),
        ("clusters: !!python/object:os.system {}\n", 1, "could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", 2, "another document"),
        ("", 1, "expected a mapping with `clusters`"),
        ("- a\n", 1, "expected a mapping with `clusters`"),
        ("just words", 1, "expected a mapping with `clusters`"),
        ("? [a, b]\n: c\n", 1, "unhashable key"),
        (GOOD.replace("name: north", "name: north\n    first_day: 2026-13-45"), 5, "month must be in 1..12"),
        ("clusters:\n  - name: !!int twelve\n", 2, "twelve"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_yaml_or_says_a_key_twice_is_named_by_line(
    written: Written, text: str, line: int, expected: str
) -> None:
    path = written(text)
    message = error_of(path)
    assert f"{path}:{line}." in message, message
    assert expected in message


def test_a_missing_key_names_the_deepest_place_that_is_there(written: Written) -> None:
    path = written("limits:\n  max_window_days: 3\n")
    assert f"{path}:1: clusters: Field required" in error_of(path)


def test_no_file_a_folder_and_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    assert f"Where: {tmp_path / 'nowhere.yaml'}" in error_of(tmp_path / "nowhere.yaml")
    assert f"Where: {tmp_path}" in error_of(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert f"Where: {tmp_path / 'binary'}" in error_of(tmp_path / "binary")


def test_a_file_nested_without_end_is_told_in_a_sentence(written: Written) -> None:
    assert "it is nested too deeply" in error_of(written("clusters: " + "[" * 5000))


def test_a_configuration_that_nobody_named_is_an_error_and_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKFILL_CONFIG", raising=False)
    with pytest.raises(ConfigError, match="BACKFILL_CONFIG is not set"):
        load_from_environment()
    monkeypatch.setenv("BACKFILL_CONFIG", str(EXAMPLE))
    for name in VARIABLES:
        monkeypatch.setenv(name, "x")
    assert load_from_environment() == load(EXAMPLE)


@pytest.mark.parametrize("command", ["cluster", "customer"])
def test_an_unknown_name_says_which_are_known(written: Written, command: str) -> None:
    config = load(written(GOOD))
    known = {"cluster": "north", "customer": "acme, acme-east"}[command]
    with pytest.raises(ConfigError, match=f"Unknown {command}.*'hooli'.*knows {known}"):
        config.cluster("hooli") if command == "cluster" else config.cluster("north").customer("hooli")


def test_an_address_that_is_missing_names_its_key(written: Written) -> None:
    config = load(written(GOOD))
    with pytest.raises(ConfigError, match=r"clusters\[name=north\].temporal"):
        required(config.cluster("north").temporal, "north", "temporal")


VARIABLES = ("LEDGER_PASSWORD", "NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD")
PASSWORD = "hunter2-do-not-print"


def with_secrets(monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in VARIABLES:
        monkeypatch.setenv(name, PASSWORD)
    return load(EXAMPLE)


def test_the_example_loads_and_names_its_secrets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_secrets(monkeypatch)
    found = passwords(config)
    assert tuple(s.password_env for s in found) == VARIABLES
    assert {s.password() for s in found} == {PASSWORD}


def passwords(config: Config) -> list[Secret]:
    return [s for _, s in config.secrets() if isinstance(s, Secret)]


Key = tuple[str, ...]


def keys_of_model(model: type[BaseModel]) -> set[Key]:
    """The path of every key that a configuration of this model may have."""
    keys: set[Key] = set()
    for name, field in model.model_fields.items():
        keys |= {(name,)} | {(name, *key) for inner in models_in(field.annotation) for key in keys_of_model(inner)}
    return keys


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models_in(part)]


def keys_of_tree(tree: Any) -> set[Key]:
    if isinstance(tree, list):
        return {key for inner in tree for key in keys_of_tree(inner)}
    items = tree.items() if isinstance(tree, dict) else ()
    return {key for name, inner in items for key in [(name,), *((name, *below) for below in keys_of_tree(inner))]}


def not_shown(model: type[BaseModel]) -> set[Key]:
    text = EXAMPLE.read_text()
    as_comment = re.findall(r"^ *# (\w+): ", text, re.MULTILINE)
    return {key for key in keys_of_model(model) - keys_of_tree(yaml.safe_load(text)) if key[-1] not in as_comment}


def test_nobody_has_to_read_the_models_to_find_a_key_that_the_example_leaves_out() -> None:
    assert not_shown(Config) == set()
    wider = create_model("Wider", __base__=Limits, added=(int, 1), lease_seconds=(float, 1))
    changed = create_model("Changed", __base__=Config, limits=(wider | None, None), new=(str, ""))
    assert not_shown(changed) == {("limits", "added"), ("new",)}


def not_default(model: BaseModel, place: Place = ()) -> Iterator[Place]:
    for name in model.model_fields_set:
        value = getattr(model, name)
        inner = {(name, n): v for n, v in enumerate(value)} if isinstance(value, list) else {(name,): value}
        if any(isinstance(v, BaseModel) for v in inner.values()):
            yield from (p for below, v in inner.items() for p in not_default(v, place + below))
        elif value != type(model).model_fields[name].get_default():
            yield (*place, name)


def test_a_made_up_value_of_the_example_is_never_taken_for_the_default() -> None:
    text = EXAMPLE.read_text()
    made_up = list(not_default(load(EXAMPLE, need_secrets=False)))
    assert ("clusters", 0, "clickhouse", "user") in made_up
    lines = {place: text.splitlines()[line_of(text, place) - 1] for place in made_up}
    assert [place for place, line in lines.items() if not re.search("# .*(required|default: )", line)] == []


KEYS = ("ledger.password_env", "clusters[0].postgres.password_env", "clusters[0].clickhouse.password_env")


def said_of(variable: str) -> str:
    line = next(n for n, text in enumerate(EXAMPLE.read_text().splitlines(), 1) if variable in text)
    return f":{line}: {KEYS[VARIABLES.index(variable)]}: {variable} is not set"


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_missing_variable_is_named_with_file_line_and_key_and_never_taken_for_an_empty_password(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with_secrets(monkeypatch)
    monkeypatch.delenv(variable)
    message = error_of(EXAMPLE)
    assert f"names 1 secret that can't be had here. Where: {EXAMPLE}{said_of(variable)}. Why" in message
    assert load(EXAMPLE, need_secrets=False) == load(EXAMPLE, need_secrets=False)
    with pytest.raises(ConfigError, match=f"{variable} is not set"):
        Secret(password_env=variable).password()


def test_a_secret_that_is_no_text_is_a_traceback_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    with_secrets(monkeypatch)
    monkeypatch.setenv(VARIABLES[0], "pw\udcffS3CRET")
    assert f"{VARIABLES[0]} is not UTF-8" in (message := error_of(EXAMPLE))
    with pytest.raises(ConfigError, match=f"{VARIABLES[0]} is not UTF-8") as caught:
        Secret(password_env=VARIABLES[0]).password()
    assert "S3CRET" not in message + str(caught.value)


def test_no_missing_secret_is_hidden_behind_the_first(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    # password_file of ClickHouse stands as a comment below its password_env
    path = written(EXAMPLE.read_text().replace("# password_file", "password_file"))
    message = error_of(path)
    assert "names 4 secrets" in message
    assert all(f"{path}{said_of(variable)}" in message for variable in VARIABLES)
    assert "clusters[0].clickhouse.password_file: /run/secrets/north-clickhouse is no file that can be read" in message


def test_a_variable_that_two_addresses_name_is_named_at_both_places(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHARED", raising=False)
    address = "{host: db, database: d, password_env: SHARED}"
    path = written(GOOD + f"    postgres: {address}\nledger: {address}\n")
    message = error_of(path)
    assert f"{path}:9: clusters[0].postgres.password_env: SHARED is not set" in message
    assert f"{path}:10: ledger.password_env: SHARED is not set" in message


def test_a_missing_password_file_is_named_with_file_and_line(written: Written, tmp_path: Path) -> None:
    away = tmp_path / "away"
    text = GOOD + f"ledger:\n  host: db\n  database: ledger\n  password_file: {away}\n"
    path = written(text)
    message = error_of(path)
    assert f"{path}:12: ledger.password_file: {away} is no file that can be read" in message
    away.mkdir()
    assert f"{away} is no file that can be read" in error_of(path)
    away.rmdir()
    with pytest.raises(ConfigError, match=str(away)):
        Secret(password_file=away).password()
    away.write_text(f"{PASSWORD}\n")
    assert [s.password() for s in passwords(load(path))] == [PASSWORD]


def test_an_alert_that_nobody_would_get_is_told_before_it_is_needed(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(GOOD + "alerts:\n  webhook_env: ALERTS_WEBHOOK\n")
    assert f"{path}:10: alerts.webhook_env: ALERTS_WEBHOOK is not set" in error_of(path)
    monkeypatch.setenv("ALERTS_WEBHOOK", PASSWORD)
    assert load(path).alerts.webhook() == PASSWORD
    assert PASSWORD not in f"{load(path)!r} {load(path)}"
    assert load(written(GOOD)).alerts.webhook() is None


def test_a_secret_never_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_secrets(monkeypatch)
    assert PASSWORD not in f"{config!r} {config!s} {config.model_dump_json()}"
    assert all(PASSWORD not in f"{s!r} {s!s}" for _, s in config.secrets())


def test_the_older_scripts_file_loads_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(
        '{"clusters": [{"name": "north", "customers": [\n'
        '  {"id": "acme", "profile": "retail"},\n  {"id": "globex", "profile": "default"},\n'
        '  {"id": "acme", "profile": "support"}]}]}'
    )
    cluster = load(path).cluster("north")
    assert {c.id: c.profiles for c in cluster.customers} == {"acme": ["retail", "support"], "globex": ["default"]}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('{"id": "in itech", "profile": "default"}', "customers[2].id: expected an id of the form"),
        ('{"id": ["initech"], "profile": "default"}', "customers[2].id: Input should be a valid string"),
        ('{"id": "initech", "profile": 7}', "customers[2].profiles[0]: Input should be a valid string"),
        ('{"id": null, "profile": "default"}', "customers[2].id: Input should be a valid string"),
    ],
)
def test_a_mistake_in_the_older_form_is_named_by_its_own_line(written: Written, entry: str, expected: str) -> None:
    older = '{"clusters": [{"name": "north", "customers": [\n{"id": "acme", "profile": "a"},\n{"id": "acme", "profile": "b"},\n'
    path = written(older + entry + "]}]}")
    assert f"{path}:4: clusters[0].{expected}" in error_of(path)


def test_the_same_customer_and_profile_twice_is_refused_in_the_older_form_too(written: Written) -> None:
    twice = '{"id": "acme", "profile": "a"}, {"id": "acme", "profile": "a"}'
    message = error_of(written(f'{{"clusters": [{{"name": "north", "customers": [{twice}]}}]}}'))
    assert "profile of customer acme given twice: a" in message


def check(path: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "backfill_pipeline.cli", "config", "check", str(path)]
    clean = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    return subprocess.run(command, env={**clean, "COLUMNS": "200", **env}, capture_output=True, text=True, timeout=60)


def test_config_check_prints_what_was_understood_but_no_secret() -> None:
    done = check(EXAMPLE, **dict.fromkeys(VARIABLES, PASSWORD))
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    for said in ("NORTH_PG_PASSWORD", "replica.north.internal", "temporal.north.internal:7233", "retail, support"):
        assert said in done.stdout
    assert "2 customers, 3 executions" in done.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("limits", "limitz"), ":1: limitz: unknown key"),
        (GOOD.replace("id: acme-east", "id: acme"), "customer of cluster north given twice: acme"),
        (GOOD.replace("acme-east", "acme east"), ":8: clusters[0].customers[1].id: expected an id"),
        (GOOD + "limits: {}\n", ":9. Why: the key `limits` stands twice"),
        (GOOD.replace("31", "many"), ":2: limits.max_window_days: "),
        ("a: [", ":1. Why: "),
        (EXAMPLE.read_text(), "clickhouse.password_env: NORTH_CH_PASSWORD is not set"),
    ],
)
def test_bad_input_ends_config_check_with_2_and_one_paragraph(written: Written, text: str, said: str) -> None:
    done = check(written(text))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_the_secrets_config_check_still_shows_what_it_understood_and_ends_with_2() -> None:
    done = check(EXAMPLE)
    assert done.returncode == 2
    assert done.stdout == check(EXAMPLE, **dict.fromkeys(VARIABLES, PASSWORD)).stdout
    assert all(said_of(variable) in done.stderr for variable in VARIABLES)


def test_no_file_ends_config_check_with_2(tmp_path: Path) -> None:
    done = check(tmp_path / "nowhere.yaml")
    assert done.returncode == 2
    assert str(tmp_path / "nowhere.yaml") in done.stderr
