"""What anybody wrote: a terminal obeys an escape, and a NUL or half of a surrogate pair fails whoever keeps it."""

import pytest

from backfill_pipeline.domain.errors import Refused
from backfill_pipeline.domain.texts import one_line, printable, said


@pytest.mark.parametrize("text", ["its disk", "größer 🙂", "名前"])
def test_a_persons_own_words_are_changed(text: str) -> None:
    assert said(text) == one_line(text) == printable(text) == text


@pytest.mark.parametrize("odd", ["\0", "\x1b", "\x7f", "\x9b", "\udcff", "\r", "\N{RIGHT-TO-LEFT OVERRIDE}"])
def test_what_can_not_be_printed_reaches_the_ledger_or_a_terminal(odd: str) -> None:
    assert one_line(f"{odd}its{odd}\n disk{odd}") == "its disk"
    assert printable(f"its{odd}\n\tdisk") == "its \n\tdisk"


def test_bytes_that_are_no_text_are_kept_as_if_they_were() -> None:
    with pytest.raises(Refused, match=r"no text; nothing was sent.*'its \\udcff disk'"):
        said("its \udcff disk")
