"""Rules about the code, as tests. Each rule is a function, so that a sample that breaks it shows that it can fail."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfill_pipeline.domain.datasets import DATASETS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "backfill_pipeline"
SQL = PACKAGE / "stores" / "sql"
LONGEST = 400
CODE = sorted(
    p for folder in (PACKAGE, ROOT / "backfill_pipeline_tests", ROOT / "benchmarks") for p in folder.rglob("*.py")
)
STATEMENTS = sorted(PACKAGE.rglob("*.sql"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_room_imports_what_it_must_not() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


def test_no_file_grows_past_what_one_reads_in_one_go() -> None:
    lengths = {name(p): len(p.read_text(encoding="utf-8").splitlines()) for p in (*CODE, *STATEMENTS)}
    assert lengths
    assert {p: n for p, n in lengths.items() if n > LONGEST} == {}


def replaces_partitions(text: str) -> bool:
    return re.search(r"REPLACE\s+PARTITION", text, re.IGNORECASE) is not None


def test_l6_nothing_can_erase_other_customers_by_replacing_a_partition() -> None:
    assert replaces_partitions("alter table score\n replace  partition 202601 from staging")
    ours = [p for p in PACKAGE.rglob("*") if p.suffix in (".py", ".sql", ".yaml", ".xml")]
    assert [name(p) for p in ours if replaces_partitions(p.read_text(encoding="utf-8"))] == []


# A dataset is an entry, its SQL and its transfer: no step, asset or store knows one by name.

KNOW_NO_DATASET = ("defs", "steps", "stores")


def datasets_named(source: str) -> set[str]:
    found = (n.value if isinstance(n, ast.Constant) else getattr(n, "id", None) for n in ast.walk(ast.parse(source)))
    return {f.lower() for f in found if isinstance(f, str)} & set(DATASETS)


def test_a_new_dataset_needs_no_change_in_steps_assets_or_stores() -> None:
    assert datasets_named("if dataset is LABELS or name == 'conversations': pass") == {"labels", "conversations"}
    files = [p for room in KNOW_NO_DATASET for p in (PACKAGE / room).rglob("*.py")]
    assert files
    assert {name(p): found for p in files if (found := datasets_named(p.read_text(encoding="utf-8")))} == {}


# What proves shares no SQL with what loads.


def bare(path: Path) -> str:
    """The statement alone: without comments, and with all white space alike."""
    return " ".join(re.sub(r"--.*", "", path.read_text(encoding="utf-8")).split())


def test_a_mistake_in_what_loads_is_not_made_again_by_what_proves() -> None:
    verify, transfer = sorted((SQL / "verify").glob("*.sql")), sorted((SQL / "transfer").glob("*.sql"))
    assert verify
    assert transfer
    assert {bare(p) for p in verify}.isdisjoint(bare(p) for p in transfer)
    assert {p.name for p in verify}.isdisjoint(p.name for p in transfer)
    assert not [p for p in (*verify, *transfer) if p.is_symlink()]


def sql_rooms_of(text: str) -> set[str]:
    return set(re.findall(r"(?:stores\.sql\.|from backfill_pipeline\.stores\.sql import |/)(verify|transfer)\b", text))


def test_no_module_reads_the_sql_of_both_rooms() -> None:
    assert sql_rooms_of(
        'files("backfill_pipeline.stores.sql.verify"), files("backfill_pipeline.stores.sql.transfer")'
    ) == {
        "verify",
        "transfer",
    }
    rooms = {name(p): sql_rooms_of(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    assert {p for p, r in rooms.items() if len(r) > 1} == set()
    assert {p for p, r in rooms.items() if "transfer" in r and "/worker/" not in p} == set()
    assert {p for p, r in rooms.items() if "verify" in r and "/worker/" in p} == set()
    assert {"backfill_pipeline/stores/source.py", "backfill_pipeline/worker/transfer/statements.py"} <= {
        p for p, r in rooms.items() if r
    }


# Secrets are read in one place.

MAY_READ_SECRETS = ("backfill_pipeline/config/addresses.py", "backfill_pipeline/stack/")
NO_SECRETS = {"ENV_CONFIG", "ENV_CLUSTER", "ENV_DAGSTER", "'KUBECONFIG'"}  # paths, a name, an address
# Tasks take their orders from the contract's variables; the runner hands everything on to the Job's command, and a
# forward to kubectl, whose login plugins may need it.
HAND_IT_ON = {
    "backfill_pipeline/worker/tasks/batch_reindex_conversations.py",
    "backfill_pipeline/worker/tasks/label_conversations.py",
    "backfill_pipeline/clients/local_job_runner.py",
    "backfill_pipeline/clients/port_forward/kubectl.py",
}
WHOLE = "the whole environment"


def environment_reads(source: str) -> Iterator[str]:
    """What a module asks the environment for: the name of the constant, the literal, or all of it."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
        if text in ("os.environ", "environ", "os.getenv", "getenv", "os.environb"):
            yield _key_of(node, parents)


def _key_of(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> str:
    above = parents[node]
    if isinstance(above, ast.Attribute):
        node, above = above, parents[above]
    if isinstance(above, ast.Subscript):
        return ast.unparse(above.slice).split(".")[-1]
    if isinstance(above, ast.Call) and above.func is node and above.args:
        return ast.unparse(above.args[0]).split(".")[-1]
    if isinstance(above, ast.Compare):
        return ast.unparse(above.left).split(".")[-1]
    return WHOLE


def test_no_module_reads_a_secret_behind_the_configurations_back() -> None:
    ours = {name(p): set(environment_reads(p.read_text(encoding="utf-8"))) for p in PACKAGE.rglob("*.py")}
    elsewhere = {p: reads for p, reads in ours.items() if not p.startswith(MAY_READ_SECRETS)}
    allowed = {p: NO_SECRETS | ({WHOLE} if p in HAND_IT_ON else set()) for p in elsewhere}
    assert {p: reads - allowed[p] for p, reads in elsewhere.items() if reads - allowed[p]} == {}
    assert ours["backfill_pipeline/config/addresses.py"]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("os.environ['PGPASSWORD']", "'PGPASSWORD'"),
        ("os.environ.get(ENV_PASSWORD, '')", "ENV_PASSWORD"),
        ("os.getenv('TOKEN')", "'TOKEN'"),
        ("x = 'TOKEN' in os.environ", "'TOKEN'"),
        ("read(os.environ)", WHOLE),
        ("{**os.environ}", WHOLE),
        ("from os import environ\nenviron[config.ENV_SECRET]", "ENV_SECRET"),
    ],
)
def test_the_rule_about_secrets_sees_every_way_of_reading_one(source: str, key: str) -> None:
    assert key in set(environment_reads(source))


# A user's name is asked for in one place.


def test_a_user_without_a_name_ends_a_command_with_a_traceback() -> None:
    """In a container a uid often has no name; `account` has a way out of that."""
    asking = [name(p) for p in PACKAGE.rglob("*.py") if "getpass" in p.read_text(encoding="utf-8")]
    assert asking == ["backfill_pipeline/clients/account.py"]


# Days are UTC.

BY_ZONE = re.compile(r"\b(?:toDate(?:32|Time|Time32|Time64)?|parseDateTime\w*|toStartOf\w+|toYYYYMM(?:DD)?)\(")
# Keys as domain.md gives them; their columns' types name UTC.
KEYS = (
    "toDate(conversation_start_time)",
    "toYYYYMM(conversation_start_time)",
    "toYYYYMM(conversation_end_time)",
    "toStartOfHour(conversation_end_time)",
)
MAY_HOLD_KEYS = (
    "backfill_pipeline/domain/datasets.py",
    *(f"backfill_pipeline/stack/schema/{n}.sql" for n in ("target", "labels_older", "labels_newer")),
)


def without_zone(text: str) -> Iterator[str]:
    """Calls and types of ClickHouse that take the server's zone, as they name none."""
    for found in BY_ZONE.finditer(text):
        call = text[found.start() : _closing(text, found.end())]
        if "'UTC'" not in call:
            yield call
    yield from re.findall(r"(?<!to)\bDateTime64\(\d\)", text)


def _closing(text: str, at: int) -> int:
    """Position after the bracket that closes the one before `at`."""
    depth = 1
    while depth and at < len(text):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return at


def test_l3_no_day_is_cut_in_the_servers_zone() -> None:
    ours = {name(p): set(without_zone(p.read_text(encoding="utf-8"))) for p in (*PACKAGE.rglob("*.py"), *STATEMENTS)}
    wrong = {p: found - set(KEYS if p in MAY_HOLD_KEYS else ()) for p, found in ours.items()}
    assert {p: found for p, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        ("SELECT toDate(t)", True),
        ("toDate(toDateTime64(t, 3, 'UTC'))", False),
        ("toDateTime64(assumeNotNull(f(t)), 3)", True),
        ("toDateTime64('2026-01-15 00:00:00', 3, 'UTC')", False),
        ("toStartOfHour(t)", True),
        ("{start:DateTime64(3)}", True),
        ("{start:DateTime64(3,'UTC')}", False),
    ],
)
def test_the_rule_about_zones_can_fail(text: str, is_wrong: bool) -> None:
    assert bool(list(without_zone(text))) is is_wrong


# Versions come from whatever index the reader uses.


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def test_no_installation_is_tied_to_one_index() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://|\bindex\b|--|find-links|\s@\s", text)
    assert [line for line in constraint_lines() if not re.fullmatch(r"[A-Za-z0-9._-]+(\[\w+\])?==[\w.+!]+", line)] == []


def test_no_dependency_changes_its_version_behind_our_back() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    fixed = {_plain(line) for line in constraint_lines()}
    assert [d for d in wanted if _plain(d) not in fixed] == []


def _plain(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", requirement)[0]).lower()
