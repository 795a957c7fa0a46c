"""Secrets that somebody wrote into the file, in whatever place: refused, and not repeated."""

import pytest

from backfill_pipeline_tests.config.conftest import GOOD, Written
from backfill_pipeline_tests.config.test_load import PASSWORD, error_of


@pytest.mark.parametrize("key", ["password", "passwd", "password_env"])
def test_a_secret_that_somebody_wrote_into_the_file_is_refused_and_not_repeated(written: Written, key: str) -> None:
    value = f"[{PASSWORD}]" if key == "password_env" else PASSWORD
    message = error_of(written(GOOD + f"ledger:\n  host: db\n  database: ledger\n  {key}: {value}\n"))
    assert f"ledger.{key}" in message
    assert PASSWORD not in message


@pytest.mark.parametrize(
    "line",
    [
        f"alerts: {{webhook_env: 'https://hooks/{PASSWORD}'}}",
        f"ledger: {{host: db, database: ledger, password_env: '{PASSWORD}!'}}",
        f"ledger: {{host: db, database: ledger, password_env: {PASSWORD.lower()}}}",
    ],
)
def test_a_secret_in_place_of_its_variables_name_is_repeated(written: Written, line: str) -> None:
    message = error_of(written(f"{GOOD}{line}\n"))
    assert "_env: " in message
    assert PASSWORD.lower() not in message.lower()


@pytest.mark.parametrize("address", [f"address: 'me:{PASSWORD}@t:7'", f"address: 't:7', ui: 'https://me:{PASSWORD}@t'"])
def test_a_login_in_temporals_addresses_is_taken_and_printed(written: Written, address: str) -> None:
    message = error_of(written(GOOD.replace("name: north", f"name: north\n    temporal: {{{address}}}")))
    assert "clusters[0].temporal." in message
    assert PASSWORD not in message


@pytest.mark.parametrize("clusters", ["[[]]", "[north]"])
def test_a_cluster_that_is_no_mapping_is_told_in_words_of_the_code(written: Written, clusters: str) -> None:
    message = error_of(written(f"clusters: {clusters}\n"))
    assert "expected a mapping of keys to values" in message
    assert "instance" not in message
