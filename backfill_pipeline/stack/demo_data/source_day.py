"""Everything of one profile and day as PostgreSQL would hold it, and which row belongs to which."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from backfill_pipeline.stack.demo_data import chats as chat_rows
from backfill_pipeline.stack.demo_data import scorecards as scorecard_rows
from backfill_pipeline.stack.demo_data.planted import Place


@dataclass(frozen=True)
class SourceDay:
    """Four tables, and by index: the chat of each scorecard (-1: none), the scorecard of each score."""

    place: Place
    chats: pa.Table
    messages: pa.Table
    scorecards: pa.Table
    scores: pa.Table
    chat_of_scorecard: np.ndarray
    scorecard_of_score: np.ndarray


def source_day(rng: np.random.Generator, place: Place, conversations: int) -> SourceDay:
    """A day of about so many conversations, at least `chats.LEAST`."""
    chats = chat_rows.chats(rng, place, max(conversations, chat_rows.LEAST))
    of, types = scorecard_rows.chats_of_scorecards(rng, chats)
    scorecards = scorecard_rows.scorecards(rng, place, chats, of, types)
    scores = scorecard_rows.scores(rng, scorecards)
    scorecard_of_score = np.repeat(np.arange(scorecards.num_rows), len(scorecard_rows.CRITERIA))
    return SourceDay(place, chats, chat_rows.messages(rng, chats), scorecards, scores, of, scorecard_of_score)
