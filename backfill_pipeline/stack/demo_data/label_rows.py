"""What ClickHouse should hold of the labels: a row per ended conversation, computed from its chat and its events."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backfill_pipeline.stack.demo_data.assist_events import AssistEvents
from backfill_pipeline.stack.demo_data.chats import DAY
from backfill_pipeline.stack.demo_data.planted import Place, TableName
from backfill_pipeline.stack.demo_data.right_copy import is_conversation, millis, version
from backfill_pipeline.stack.demo_data.source_day import SourceDay

TABLE: TableName = "conversation_with_labels"
DAY_MILLIS = DAY // 1000


@dataclass(frozen=True)
class LabelDay:
    """Ended conversations that began on the place's day.

    rows: as the table should hold them. is_gone: PostgreSQL does not have the conversation any more.
    chats: how many chats of any kind the day has.
    """

    place: Place
    rows: pa.Table
    is_gone: np.ndarray
    chats: int

    @property
    def starts(self) -> np.ndarray:
        """Milliseconds since 1970."""
        return _numbers(self.rows, "conversation_start_time")

    @property
    def ends(self) -> np.ndarray:
        """Milliseconds since 1970."""
        return _numbers(self.rows, "conversation_end_time")

    @property
    def nights(self) -> np.ndarray:
        """How many days after its start each conversation ended."""
        nights: np.ndarray = self.ends // DAY_MILLIS - self.starts // DAY_MILLIS
        return nights


def _numbers(rows: pa.Table, column: str) -> np.ndarray:
    numbers: np.ndarray = rows[column].cast(pa.int64()).to_numpy()
    return numbers


def label_day(source: SourceDay, events: AssistEvents, gone_chats: np.ndarray) -> LabelDay:
    """gone_chats: of each chat, whether PostgreSQL will not have it."""
    rows = _rows(source, events)
    is_labelled = is_conversation(source) & pc.is_valid(rows["conversation_end_time"]).to_numpy()
    return LabelDay(source.place, rows.filter(is_labelled), gone_chats[is_labelled], source.chats.num_rows)


def _rows(source: SourceDay, events: AssistEvents) -> pa.Table:
    """One per chat in the table's columns, whether it belongs there or not."""
    chats = source.chats
    return pa.table(
        {
            "customer_id": chats["customer_id"],
            "profile_id": chats["profile_id"],
            "conversation_id": chats["conversation_id"].fill_null(""),
            "agent_user_id": chats["agent_user_id"].fill_null(""),
            "conversation_start_time": millis(chats["started_at"]),
            "conversation_end_time": millis(chats["ended_at"]),
            "labels": _labels(events, chats.num_rows),
            "agent_assist_events": pa.array(np.bincount(events.chat, minlength=chats.num_rows), pa.int32()),
            "update_time": version(chats),
        }
    )


def _labels(events: AssistEvents, chats: int) -> pa.Array:
    """The kinds of each chat's events, each once; Python orders text by code points, as bytes of UTF-8 are ordered."""
    kinds: defaultdict[int, set[str]] = defaultdict(set)
    for chat, kind in zip(events.chat.tolist(), events.rows["kind"].to_pylist(), strict=True):
        kinds[chat].add(kind)
    return pa.array([sorted(kinds[chat]) for chat in range(chats)], pa.list_(pa.string()))
