import pytest

from backfill_pipeline.stack.gateway.rewrite import rewrite


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CREATE TABLE a ON CLUSTER c (x Int8)", "CREATE TABLE a   (x Int8)"),
        ("ALTER TABLE a ON CLUSTER 'c' DELETE WHERE 1", "ALTER TABLE a   DELETE WHERE 1"),
        ("drop table a on cluster {cluster} sync", "drop table a   sync"),
        ("ENGINE=ReplicatedMergeTree('/p','{replica}') ORDER BY x", "ENGINE=MergeTree() ORDER BY x"),
        ("ENGINE = ReplicatedReplacingMergeTree('/p', 'r', v, d)", "ENGINE = ReplacingMergeTree(v, d)"),
        ("ENGINE ReplicatedReplacingMergeTree(v) ORDER BY x", "ENGINE ReplacingMergeTree(v) ORDER BY x"),
        ("ENGINE = ReplicatedMergeTree ORDER BY x", "ENGINE = MergeTree ORDER BY x"),
    ],
)
def test_ddl_of_a_cluster_does_not_fail_on_one_engine(given: str, expected: str) -> None:
    head = "CREATE TABLE a (x Int8) " if given.startswith("ENGINE") else ""
    assert rewrite((head + given).encode()).sql.decode() == head + expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM a JOIN b ON cluster = b.x",
        "INSERT INTO a VALUES ('x ON CLUSTER c')",
        "ALTER TABLE a UPDATE s = 'ON CLUSTER c ENGINE = ReplicatedMergeTree' WHERE 1",
        "CREATE VIEW v AS SELECT 1 FROM a JOIN b ON cluster WHERE 1",
        "CREATE TABLE a (x Int8 /* ON CLUSTER c */) ENGINE = MergeTree ORDER BY x -- ReplicatedMergeTree",
        "CREATE TABLE a (`ON CLUSTER c` Int8) ENGINE = MergeTree ORDER BY tuple() COMMENT 'it''s \\' ON CLUSTER c'",
        "DELETE FROM a WHERE s = $x$ ON CLUSTER c $x$",
    ],
)
def test_a_value_or_a_comment_is_never_rewritten(sql: str) -> None:
    assert rewrite(sql.encode()).sql.decode() == sql


def test_bytes_that_are_no_text_are_not_lost_by_the_rewriting() -> None:
    sql = b"ALTER TABLE a ON CLUSTER c DELETE WHERE s = '\xff\xfe'"
    assert rewrite(sql).sql == b"ALTER TABLE a   DELETE WHERE s = '\xff\xfe'"


def test_a_kill_by_the_clients_query_id_finds_what_the_engine_named_itself() -> None:
    assert b"query_id" not in rewrite(b"KILL QUERY WHERE query_id = 'x' SYNC").sql
    assert rewrite(b"KILL QUERY WHERE query_id = 'x' SYNC").sql.endswith(b" = 'x' SYNC")
