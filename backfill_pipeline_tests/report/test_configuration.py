"""What an operator wrote shows, all of it, within a terminal."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from backfill_pipeline.config import Config, load
from backfill_pipeline.report.configuration import configuration_tables
from backfill_pipeline_tests.report.test_tables import printed

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
WIDTH = 80


def lines_of(config: Config) -> list[str]:
    return [line for table in configuration_tables(config) for line in printed(table)]


def rows_of(config: Config) -> dict[str, str]:
    rows = [line.split(maxsplit=1) for line in lines_of(config) if line.startswith("  ")]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def scalars(node: yaml.Node, place: str = "") -> Iterator[tuple[str, str]]:
    """Each scalar as it is written, with its place; the items of a list of scalars share the list's."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from scalars(value, f"{place}.{key.value}".lstrip("."))
    elif isinstance(node, yaml.SequenceNode):
        for n, value in enumerate(node.value):
            yield from scalars(value, place if isinstance(value, yaml.ScalarNode) else f"{place}[{n}]")
    else:
        yield place, node.value


WRITTEN = list(scalars(yaml.compose(EXAMPLE.read_text(), Loader=yaml.SafeLoader)))


@pytest.mark.parametrize(("place", "text"), [w for w in WRITTEN if ".customers" not in w[0]])
def test_nothing_that_an_operator_wrote_is_unseen(place: str, text: str) -> None:
    inside = place.removeprefix("clusters[0].")
    address = inside.removesuffix(".host").removesuffix(".port") if "replicas" in inside else inside
    assert text in rows_of(load(EXAMPLE, need_secrets=False))[address]


@pytest.mark.parametrize("n", [0, 1])
def test_no_key_of_a_customer_is_unseen(n: int) -> None:
    texts = [text for place, text in WRITTEN if f".customers[{n}]" in place]
    row = next(line for line in lines_of(load(EXAMPLE, need_secrets=False)) if texts[0] in line.split())
    assert len(texts) > 3
    assert all(text in row.replace(",", "").split() for text in texts)


def changed(**cluster: Any) -> Config:
    tree = load(EXAMPLE, need_secrets=False).model_dump(exclude_unset=True)
    tree["clusters"][0].update(cluster)
    return Config.model_validate(tree)


def test_an_address_that_is_not_given_is_said_to_be_missing() -> None:
    assert rows_of(changed(temporal=None, clickhouse=None))["temporal"] == "not given"


def test_a_bracket_in_a_value_is_not_taken_for_markup() -> None:
    shards = [{"replicas": [{"host": "[fe80::1]"}, {"host": "b"}]}, {"replicas": [{"host": "c"}]}]
    rows = rows_of(changed(clickhouse={"shards": shards}))
    assert rows["clickhouse.shards[0].replicas[0]"] == "[fe80::1]:8123"
    assert rows["clickhouse.shards[1].replicas[0]"] == "c:8123"
    assert rows["clickhouse.known_views"] == "none"


def test_the_longest_names_lose_no_letter_and_fit_the_terminal() -> None:
    customer = {"id": "X" * 63, "profiles": [f"{n}{'Y' * 60}" for n in range(9)]}
    lines = lines_of(changed(postgres={"host": "Z" * 253, "database": "d"}, customers=[customer]))
    assert max(map(len, lines)) <= WIDTH
    assert {letter: "".join(lines).count(letter) for letter in "XYZ…"} == {"X": 63, "Y": 540, "Z": 253, "…": 0}
