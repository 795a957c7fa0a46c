"""Certificates and addresses that are wrong until somebody corrects the kubeconfig, and a server that is only away."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import MaxRetryError, SSLError

from backfill_pipeline.clients.kubernetes.errors import translate
from backfill_pipeline.clients.kubernetes.login import opened
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stack.kubernetes.access import write_certificate
from backfill_pipeline_tests.clients.kubeconfigs import kubeconfig, launcher

Serve = Callable[[socket.socket], object]
Tree = dict[str, Any]


def certificate(at: Path) -> tuple[str, str]:
    """Files of a certificate of 127.0.0.1, signed by itself, and of its key."""
    at.mkdir()
    made, key = write_certificate(at, at.name)
    return str(made), str(key)


@contextmanager
def listening(serve: Serve) -> Iterator[str]:
    """The address of a server that does this with each connection."""

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with suppress(OSError), connection:
                    serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def told(at: Path, user: Tree, cluster: Tree) -> PipelineError:
    with pytest.raises(PipelineError) as raised:
        opened(launcher(kubeconfig(at, user, cluster))).status("one")
    return raised.value


WRONG: dict[str, tuple[str, Callable[[str, str, str], tuple[Tree, Tree]]]] = {
    "client certificate": ("PEM", lambda no, _, ca: ({"client-certificate": no, "client-key": no}, {})),
    "key of another": ("KEY_VALUES", lambda no, other, ca: ({"client-certificate": ca, "client-key": other}, {})),
    "CA": ("NO_CERTIFICATE_OR_CRL_FOUND", lambda no, _, ca: ({}, {"certificate-authority": no})),
    "another CA": ("CERTIFICATE_VERIFY_FAILED", lambda no, _, ca: ({}, {"certificate-authority": ""})),
    "another name": ("Hostname mismatch", lambda no, _, ca: ({}, {"tls-server-name": "other"})),
}


@pytest.mark.parametrize(("said", "wrong"), WRONG.values(), ids=WRONG)
def test_a_certificate_that_is_wrong_is_waited_for(
    tmp_path: Path, said: str, wrong: Callable[[str, str, str], tuple[Tree, Tree]]
) -> None:
    (crt, key), (_, other) = certificate(tmp_path / "server"), certificate(tmp_path / "other")
    (tmp_path / "no").write_text("no certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(crt, key)
    user, cluster = wrong(str(tmp_path / "no"), other, crt)
    with listening(lambda connection: context.wrap_socket(connection, server_side=True)) as server:
        trusts = {"server": server, "certificate-authority": crt, **cluster}
        error = told(tmp_path, {"token": "t", **user}, {key: value for key, value in trusts.items() if value})
    assert error.kind is Kind.STOP
    assert said in error.why
    assert error.next_step.startswith("correct the certificate in the kubeconfig")


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


CUTS: dict[str, Serve] = {
    "reset": reset,
    "end": lambda connection: (connection.recv(65536), connection.shutdown(socket.SHUT_RDWR)),
    "another protocol": lambda connection: (connection.recv(65536), connection.sendall(b"HTTP/1.1 503 Away\r\n\r\n")),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_server_that_restarts_within_a_handshake_ends_the_window(tmp_path: Path, cut: Serve) -> None:
    with listening(cut) as server:
        error = told(tmp_path, {"token": "t"}, {"server": server})
    assert error.kind is Kind.UNREACHABLE


def test_a_job_that_is_named_for_certificates_is_not_waited_for() -> None:
    away = MaxRetryError(None, "/jobs/certificate", SSLError("EOF occurred in violation of protocol"))  # type: ignore[arg-type]
    assert translate(away, "Kubernetes did not read", "here").kind is Kind.UNREACHABLE


def test_a_certificate_that_is_wrong_is_waited_for_where_the_client_gives_it_as_a_text() -> None:
    error = ApiException(status=0, reason="SSLError\n[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")
    assert translate(error, "Kubernetes did not read", "here").kind is Kind.STOP


@pytest.mark.parametrize("server", [None, "", "https://", "https://[bad"])
def test_a_kubeconfig_without_a_server_is_waited_for(tmp_path: Path, server: str | None) -> None:
    error = told(tmp_path, {"token": "t"}, {"server": server} if server is not None else {"tls-server-name": "it"})
    assert error.kind is Kind.STOP
    assert error.next_step.startswith("correct the server in the kubeconfig")
    assert not error.where.startswith(",")
