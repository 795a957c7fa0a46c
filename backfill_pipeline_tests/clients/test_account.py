"""A container's uid often has no name; what is written down about its user must not need one."""

import os
import pwd

import pytest

from backfill_pipeline.clients.account import account
from backfill_pipeline.defs.ops import launched_by

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")


def test_a_user_without_a_name_can_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert account() == "uid 54321"
    assert launched_by({}).endswith("of uid 54321")


def test_a_name_that_is_no_text_fails_whatever_is_written_down_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "al\udcffice")
    assert account() == "al ice"
    monkeypatch.setenv("LOGNAME", "\udcff")
    assert account() == f"uid {os.getuid()}"
    assert launched_by({"launched_by": "al\0ice"}) == "al ice"


def test_a_user_with_a_name_is_told_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    assert account() == "alice"
