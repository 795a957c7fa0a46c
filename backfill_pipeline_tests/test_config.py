import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backfill_pipeline.config import Config, ConfigError, Secret, load, load_from_environment, required
from backfill_pipeline.domain.errors import Kind

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "config.example.yaml"
GOOD = """\
limits:
  max_window_days: 31
clusters:
  - name: north
    customers:
      - id: acme
        profiles: [default]
      - id: acme-east
"""
Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


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
        ("limits:", "datasets: [conversation]\nlimits:", 1, "the whole file", "unknown dataset conversation; expected some of"),
        ("limits:", "1: x\nlimits:", 1, "[1]", "Keys should be strings"),
        ("limits:", "datasets: []\nlimits:", 1, "datasets", "at least 1 item"),
        ("limits:", "verification: {cron: every day}\nlimits:", 1, "verification.cron", "should match pattern"),
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
    assert [s.password_env for s in config.secrets()] == ["NORTH_PG_PASSWORD", "NORTH_CH_PASSWORD", "LEDGER_PASSWORD"]
    assert {s.password() for s in config.secrets()} == {PASSWORD}


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_missing_variable_is_named_with_file_and_line_and_never_taken_for_an_empty_password(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with_secrets(monkeypatch)
    monkeypatch.delenv(variable)
    line = next(n for n, text in enumerate(EXAMPLE.read_text().splitlines(), 1) if variable in text)
    message = error_of(EXAMPLE)
    assert f"{variable} is not set" in message
    assert f"{EXAMPLE}:{line}: password_env" in message
    assert load(EXAMPLE, need_secrets=False) == load(EXAMPLE, need_secrets=False)
    with pytest.raises(ConfigError, match=f"{variable} is not set"):
        Secret(password_env=variable).password()


def test_a_missing_password_file_is_named_with_file_and_line(written: Written, tmp_path: Path) -> None:
    away = tmp_path / "away"
    text = GOOD + f"ledger:\n  host: db\n  database: ledger\n  password_file: {away}\n"
    path = written(text)
    message = error_of(path)
    assert f"{path}:12: password_file" in message
    assert str(away) in message
    with pytest.raises(ConfigError, match=str(away)):
        Secret(password_file=away).password()
    away.write_text(f"{PASSWORD}\n")
    assert [s.password() for s in load(path).secrets()] == [PASSWORD]


def test_a_secret_never_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    config = with_secrets(monkeypatch)
    assert PASSWORD not in f"{config!r} {config!s} {config.model_dump_json()}"
    assert all(PASSWORD not in f"{s!r} {s!s}" for s in config.secrets())


@pytest.mark.parametrize("key", ["password", "passwd", "password_env"])
def test_a_secret_that_somebody_wrote_into_the_file_is_refused_and_not_repeated(written: Written, key: str) -> None:
    value = f"[{PASSWORD}]" if key == "password_env" else PASSWORD
    message = error_of(written(GOOD + f"ledger:\n  host: db\n  database: ledger\n  {key}: {value}\n"))
    assert f"ledger.{key}" in message
    assert PASSWORD not in message


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
        (EXAMPLE.read_text(), "The environment variable NORTH_PG_PASSWORD is not set"),
    ],
)
def test_bad_input_ends_config_check_with_2_and_one_paragraph(written: Written, text: str, said: str) -> None:
    done = check(written(text))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_file_ends_config_check_with_2(tmp_path: Path) -> None:
    done = check(tmp_path / "nowhere.yaml")
    assert done.returncode == 2
    assert str(tmp_path / "nowhere.yaml") in done.stderr
