"""What a Job's log quotes goes into the audit, where it can't be taken back."""

import pytest

from backfill_pipeline.domain.failures import diagnose
from backfill_pipeline.domain.masking import mask
from backfill_pipeline_tests.domain.failure_texts import RECORDED, Recorded

SECRET = "S3CRET"


@pytest.mark.parametrize(
    "line",
    [
        "connecting to postgresql://app:S3CRET@db/x",
        "connecting to postgresql://app:S3CRET@2@db/x",
        "redis://:S3CRET@cache:6379",
        "https://S3CRET@host/path",
        "api_key=S3CRET",
        "API-KEY: S3CRET",
        "PG_PASSWORD=S3CRET",
        "host=db password=S3CRET dbname=x",
        "{'password': 'S3CRET with blanks', 'user': 'app'}",
        '{"client_secret": "S3CRET"}',
        "Authorization: Bearer S3CRETS3CRET",
        "header was b'Bearer S3CRETS3CRET'",
        "passwd = S3CRET",
        "https://host/path?token=S3CRET&day=2026-01-01",
        "AWS_SECRET_ACCESS_KEY=S3CRET",
        "it is S3CRET itself",
        "connecting to postgresql://app:pa\u00adS3CRET@db/x",
        "connecting to postgresql://app:pa\x1bS3CRET@db/x",
        "password=pa\x07S3CRET",
        "token: a\0S3CRET",
        "password\0=\0pa\u200bS3CRET",
        "ready\x1b[0mpassword\x1b[0m=\x1b[35mS3CRET\x1b[0m",
        "A=1\0PG_PASSWORD=S3CRET\0B=2",
        "Bearer abcdefgh\0S3CRET",
    ],
)
def test_a_secret_that_a_job_prints_stands_in_the_audit_for_ever(line: str) -> None:
    shown = mask(line, [SECRET] if line.startswith("it is") else [])
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "line",
    [
        "fetching https://db.internal/a@b",
        'password authentication failed for user "app"',
        "Token limit reached; secret sauce",
        "row 12 of 30",
        "user=app host=db",
        "",
    ],
)
def test_what_is_no_secret_is_lost(line: str) -> None:
    assert mask(line) == line


def test_bytes_that_a_job_prints_are_kept_and_its_lines_are_not() -> None:
    assert mask("bad\0byte\n\x1b[31mbye\udcff\n") == "bad byte\n bye \n"


@pytest.mark.parametrize("recorded", RECORDED, ids=str)
def test_a_failure_is_no_longer_known_once_it_is_masked(recorded: Recorded) -> None:
    assert diagnose([mask(recorded.text)]).cause == diagnose([recorded.text]).cause
