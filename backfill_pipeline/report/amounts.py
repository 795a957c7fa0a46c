"""Numbers, times and what is not known, in few letters."""

from datetime import timedelta

UNKNOWN = "?"  # somebody should have told it, and did not
NOTHING = "-"  # there is nothing that it could be of
_STEPS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def short(amount: float) -> str:
    """Three digits and a letter: 999, 12.3k, 456M."""
    for size, letter in _STEPS:
        if amount >= size * 0.9995:
            scaled = amount / size
            return f"{scaled:.0f}{letter}" if scaled >= 99.95 else f"{scaled:.1f}{letter}"
    return f"{amount:.0f}" if amount >= 9.95 or amount == int(amount) else f"{amount:.1f}"


def counted(count: int, thing: str) -> str:
    """1 day, 2 days, 1,000 days."""
    return f"{count:,} {thing}" + ("" if count == 1 else "s")


def lasting(seconds: float) -> str:
    """The two largest units: 45s, 12m 5s, 3h 12m, 2d 4h."""
    left = round(seconds)
    for (size, unit), (lower, lower_unit) in (
        ((86400, "d"), (3600, "h")),
        ((3600, "h"), (60, "m")),
        ((60, "m"), (1, "s")),
    ):
        if left >= size:
            rest = left % size // lower
            return f"{left // size}{unit}" + (f" {rest}{lower_unit}" if rest else "")
    return f"{left}s"


def age(span: timedelta) -> str:
    return lasting(span.total_seconds())
