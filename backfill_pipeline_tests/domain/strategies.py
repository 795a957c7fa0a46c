"""Values of the domain, drawn so that its edges come often: month ends, ids that look like each other's escapes."""

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import strategies as st

from backfill_pipeline.domain.naming import ID_FORM
from backfill_pipeline.domain.plans import Attempt
from backfill_pipeline.domain.windows import Window

days = st.dates(date(2000, 1, 1), date(2100, 12, 31))
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)  # noqa: DTZ001 - zones are drawn
utc_moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
confusing_ids = st.text("ab_-.xhp", min_size=1, max_size=6).filter(
    lambda text: text.strip(".")
)  # ids of the letters that escapes are made of
ids = st.one_of(confusing_ids, st.from_regex(ID_FORM, fullmatch=True).filter(lambda text: text.strip(".")))
uuids = st.uuids().map(str)
scales = st.integers(0, 9)


@st.composite
def windows(draw: st.DrawFn, max_days: int = 400) -> Window:
    start = draw(days)
    return Window(start, start + timedelta(days=draw(st.integers(1, max_days))))


def an_attempt(**changes: object) -> Attempt:
    """Two profiles of acme over three days."""
    attempt = {
        "attempt_id": str(UUID(int=1)),
        "run_id": str(UUID(int=2)),
        "cluster": "north",
        "customer": "acme",
        "profiles": ("retail", "support"),
        "dataset": "conversations",
        "window": Window(date(2026, 1, 1), date(2026, 1, 4)),
        "marker": datetime(2026, 2, 1, 10, 0, 0, 123456, UTC),
        "fence": 1,
    }
    return Attempt(**{**attempt, **changes})  # type: ignore[arg-type]


def attempts() -> st.SearchStrategy[Attempt]:
    return st.builds(
        Attempt,
        attempt_id=uuids,
        run_id=uuids,
        cluster=ids,
        customer=ids,
        profiles=st.lists(ids, min_size=1, max_size=3, unique=True).map(tuple),
        dataset=st.just("conversations"),
        window=windows(max_days=31),
        marker=utc_moments,
        fence=st.integers(1, 9),
    )
