"""Values that have broken loaders before: they stand among the ordinary ones on every day."""

import numpy as np
import pyarrow as pa

INFINITY = int(np.datetime64("9999-12-31T23:59:59.999999", "us").astype(np.int64))
MINUS_INFINITY = int(np.datetime64("0001-01-01T00:00:00", "us").astype(np.int64))
"""Stand for PostgreSQL's +-infinity in Arrow columns, which have no such value (microseconds since 1970)."""

ID_TAIL = "o'hara'; --🙂"  # part of a conversation_id: ids are text, and whoever pastes them into SQL learns it here

TEXTS = (
    "greeted by name",
    "no greeting; asked for the order number twice",
    "",
    "🙂 très bien, 谢谢 👩‍🚀",
    "'; DROP TABLE score; --",
    'said "maybe", then \\N and \\t',
    "two\nlines\tand a tab, a comma",
    "NULL",
    " spaces around ",
)
LONG_TEXT = "0123456789abcdé" * 6_400  # 102,400 bytes in UTF-8
assert len(LONG_TEXT.encode()) == 102_400

FLOATS = (1e-07, 1e21, 0.1 + 0.2, -0.0, 0.0, 100.0, 5e-324, 1.7976931348623157e308)


def chosen(rng: np.random.Generator, values: tuple[str | None, ...], count: int, shares: list[float]) -> pa.Array:
    """`count` of the values, each with its share of the probability."""
    return pa.array(values, pa.string()).take(pa.array(rng.choice(len(values), count, p=shares)))


def texts(rng: np.random.Generator, count: int) -> pa.Array:
    """Texts of scores: mostly NULL, one of 100 kB, and each awkward one if there is room."""
    picks = rng.integers(0, len(TEXTS), count)
    picks[: len(TEXTS)] = np.arange(len(TEXTS))[:count]
    null = rng.random(count) < 0.7
    null[: len(TEXTS) + 1] = False
    picks[len(TEXTS) : len(TEXTS) + 1] = len(TEXTS)
    values = pa.array([*TEXTS, LONG_TEXT], pa.string())
    return values.take(pa.array(picks, mask=null))


def floats(rng: np.random.Generator, count: int, null_share: float) -> pa.Array:
    """Numbers between 0 and 100 with NULLs, led by the awkward ones."""
    values = rng.random(count) * 100
    null = rng.random(count) < null_share
    lead = min(count, len(FLOATS))
    values[:lead], null[:lead] = FLOATS[:lead], False
    return pa.array(values, mask=null)
