"""What was planted where: the record that tests read, so that they know each defect without searching for it."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

FILE_NAME = "planted.json"

DatasetName = Literal["conversations", "process_scorecards", "labels"]
Kind = Literal["missing", "gone", "stale", "doubled", "appeal", "reassigned", "closed_later", "over_midnight", "moved"]
TableName = Literal["conversation", "scorecard", "score", "conversation_with_labels"]
RowId = tuple[str, ...]
"""(profile, conversation_id), (profile, scorecard_id) or (profile, scorecard_id, criterion_id)."""


class Place(NamedTuple):
    """A profile's day, on a cluster of so many shards; labels_moment: the column by which those of labels are chosen."""

    cluster: str
    customer: str
    profile: str
    day: date
    shards: int
    labels_moment: str = "conversation_end_time"


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Defect(Record):
    """Rows of one table and dataset that one defect has hit.

    day: the UTC day to which the rows belong by PostgreSQL (for `gone`: belonged).
    shard: where the bad row lies, or for `missing` where it should lie (0-based).
    other_day: for a row that lies on another day, that day: of conversations and scorecards a double, of labels the only
        row. None for `doubled` means that the double has the right day, but lies on the wrong shard.

    Kinds that labels alone have; each means that in the right row's stead there is the one from before a change:
    `reassigned` has another agent, `closed_later` an earlier hour of the end, `over_midnight` an end on the day of the
    start, though the conversation ended on the next, `moved` an end on any other day.
    """

    kind: Kind
    cluster: str
    customer: str
    profile: str
    day: date
    dataset: DatasetName
    table: TableName
    ids: list[RowId]
    shard: int
    other_day: date | None = None


class Uncovered(Record):
    """Rows of PostgreSQL that fit no dataset; there only with `--odd`."""

    cluster: str
    customer: str
    profile: str
    reason: Literal["no start", "infinite start", "no such conversation"]
    table: Literal["app.chats", "director.scorecards"]
    ids: list[str]


class CleanDay(Record):
    """A customer's day without any defect: its verdict is MATCH before anything was done."""

    cluster: str
    customer: str
    day: date


class Planted(Record):
    seed: int
    size: float
    first_day: date
    days: int
    defects: list[Defect]
    clean: list[CleanDay]
    uncovered: list[Uncovered]
    source_rows: dict[str, int]
    target_rows: dict[str, int]

    def ids(
        self,
        kind: Kind,
        table: TableName,
        cluster: str,
        customer: str,
        day: date | None = None,
        dataset: DatasetName = "conversations",
    ) -> set[RowId]:
        """Ids of one kind of defect of a customer's dataset, over all its profiles; of one day, or of all."""
        wanted = (dataset, kind, table)
        found = (d for d in self.of(cluster, customer) if (d.dataset, d.kind, d.table) == wanted)
        return {i for d in found if day in (None, d.day) for i in d.ids}

    def wrong_shard_ids(self, table: TableName, cluster: str, customer: str) -> set[RowId]:
        """Of every dataset."""
        doubles = (d for d in self.of(cluster, customer) if (d.kind, d.table) == ("doubled", table))
        return {i for d in doubles if d.other_day is None for i in d.ids}

    def of(self, cluster: str, customer: str) -> Iterator[Defect]:
        return (d for d in self.defects if (d.cluster, d.customer) == (cluster, customer))

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        path.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        return path

    @classmethod
    def read(cls, folder: Path) -> "Planted":
        return cls.model_validate_json((folder / FILE_NAME).read_text(encoding="utf-8"))
