"""What a login plugin tells while kubectl logs in: it goes to the same place as kubectl's own words (those of 1.36)."""

import pytest

from backfill_pipeline.domain.errors import Kind
from backfill_pipeline_tests.clients.forwards import Standin
from backfill_pipeline_tests.clients.test_port_forward import failure

NO_LOGIN = "getting credentials: exec: executable /bin/sh failed with exit code 3"
ONCE_MORE = (
    'E1129 09:10:52.590674   10641 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list: '
    f'Get \\"https://127.0.0.1:1/api?timeout=32s\\": {NO_LOGIN}"'
)
# As plugins write: plainly, as kubectl does, and through the same library for logs.
TELLS = ("password=hunter2", "error: get-token: hunter2", "F1129 09:10:52.590674 1 cred.go:145] print failed: hunter2")


@pytest.mark.parametrize("tells", TELLS)
def test_a_secret_that_kubectls_login_plugin_tells_is_printed(standin: Standin, tells: str) -> None:
    said = (tells, ONCE_MORE, tells, ONCE_MORE, f"Unable to connect to the server: {NO_LOGIN}")
    error = failure(standin.does(fails="\n".join(said)).held())
    assert error.kind is Kind.STOP
    assert error.why == f"the context's login gave no credentials: Unable to connect to the server: {NO_LOGIN}"
    assert "auth whoami" in error.next_step


@pytest.mark.parametrize("tells", TELLS)
def test_a_secret_that_a_plugin_tells_is_printed_with_a_failure_that_comes_later(standin: Standin, tells: str) -> None:
    said = 'Error from server (NotFound): services "it" not found'
    error = failure(standin.does(fails=f"{tells}\n{said}").held())
    assert error.why == f"the cluster has no such service or pod: {said}"


def test_words_that_are_not_known_for_kubectls_own_are_not_repeated(standin: Standin) -> None:
    error = failure(standin.does(fails="password=hunter2").held(), 2)
    assert "kubectl ended with 1" in error.why
    assert "auth whoami" in error.next_step
    assert "hunter2" not in str(error)


def test_a_token_that_kubectl_cant_send_is_waited_for(standin: Standin) -> None:
    said = 'Unable to connect to the server: net/http: invalid header field value for "Authorization"'
    assert failure(standin.does(fails=said).held()).kind is Kind.STOP
