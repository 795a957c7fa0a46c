"""What the retry sensor tells somebody of: once, whatever becomes of its ticks and of the webhook."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import aiohttp
import pytest

from backfill_pipeline.clients.webhook import post
from backfill_pipeline.defs import retry
from backfill_pipeline.defs.memory import UNSENT, Memory
from backfill_pipeline.defs.pauses import stop_cluster
from backfill_pipeline.defs.retry import sent, told
from backfill_pipeline.domain.alerts import Alert, Subject
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.domain.retries import Of
from backfill_pipeline.stores.pauses import end_pause, write_pause
from backfill_pipeline_tests.defs.ended import BY_HAND, LOG, WINDOW, Site, Status, day, failing
from backfill_pipeline_tests.operations.past import Past

SECRET = "hunter2-do-not-print"


def test_what_a_person_must_know_is_told_once_and_sent_until_it_is_taken(site: Site) -> None:
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    with webhook(refuses=True) as (url, _):
        memory = sent(url, site.told(), LOG)
    assert [a.subject for a in memory.unsent] == ["quarantine"]
    site.memory = memory
    with webhook() as (url, taken):
        memory = sent(url, site.told(), LOG)
        site.memory = memory
        assert sent(url, site.told(), LOG).unsent == ()
    (body,) = taken
    assert body["subject"] == "quarantine"
    assert f"conversations of acme on {site.cluster}: {WINDOW} is left to a person: missing" in body["text"]


def test_what_a_tick_had_to_show_and_to_tell_is_not_lost_with_it(site: Site) -> None:
    """The code server is restarted in the middle: neither events nor cursor are kept, but what was written is."""
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    for n in range(20):
        site.ran(Status.FAILURE, day(n), of=site.east)
    before = site.memory
    for _ in range(2):
        site.memory = before
        tick = site.shown()
        for cluster, why in tick.stopped.items():
            stop_cluster(site.instance, site.ledger, cluster, why)
        subjects = {a.subject for a in told(tick, site.looker, LOG).unsent if site.cluster in a.text}
        assert subjects == {Subject.QUARANTINE, Subject.STOPPED}
        assert [(e.partition, e.passed) for e in site.evaluations(tick)] == [(str(d), False) for d in WINDOW.days]
    site.memory = told(tick, site.looker, LOG)
    assert not [a for a in site.told().unsent[2:] if site.cluster in a.text]


def test_d15_a_window_left_empty_on_a_paused_cluster_is_told_though_its_retry_is_to_come(site: Site) -> None:
    """It is due for as long as the pause lasts, which nobody may end for days."""
    site.ran(Status.FAILURE)
    Past(site.ledger, site.cluster, customer="acme").emptied(WINDOW)
    assert emptied(site.told()) == [], "it is retried by itself"
    write_pause(site.ledger, site.cluster, why="its disk is being changed", by_whom="an operator")
    (text,) = emptied(memory := site.told())
    assert f"{WINDOW} was emptied, and nobody is at work on it. Next: backfill resume {site.cluster}, " in text
    site.memory = replace(memory, unsent=())
    assert emptied(site.told()) == [], "once"
    assert end_pause(site.ledger, site.cluster)


def emptied(memory: Memory) -> list[str]:
    return [a.text for a in memory.unsent if a.subject is Subject.EMPTIED]


def test_a_slow_webhook_does_not_hold_up_the_retries(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "SENDING_SECONDS", 0.5)
    memory = Memory(unsent=tuple(Alert(Subject.EMPTIED, str(n), "t") for n in range(50)))
    with webhook(seconds=0.2) as (url, taken):
        left = sent(url, memory, LOG).unsent
    assert 0 < len(taken) < 10
    assert [a.key for a in left] == [str(n) for n in range(len(taken), 50)], "the rest is sent at the next look"


def test_what_the_webhook_never_took_is_in_the_log_all_of_it(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(UNSENT + 5):
        of = Of(site.cluster, f"customer-{n}", "conversations")
        site.looker.keys[site.key(of)] = of  # type: ignore[index]
        site.ran(Status.FAILURE, of=of, **BY_HAND)
    tick = site.shown()
    with webhook(refuses=True) as (url, _):
        memory = sent(url, told(tick, site.looker, LOG), LOG)
    assert len(memory.unsent) == UNSENT
    assert all(f"of customer-{n} on {site.cluster}" in caplog.text for n in range(UNSENT + 5))


@contextmanager
def webhook(*, refuses: bool = False, seconds: float = 0) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A webhook that takes what it is told, or refuses it, after so long; its address holds a secret."""
    taken: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(seconds)
            if not refuses:
                taken.append(body)
            self.send_response(500 if refuses else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not on the test's output."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{SECRET}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize("refuses", [True, False])
def test_the_webhooks_address_is_never_told(site: Site, caplog: pytest.LogCaptureFixture, refuses: bool) -> None:
    site.ran(Status.FAILURE, **failing(Kind.MISSING))
    with webhook(refuses=refuses) as (url, _):
        memory = sent(url, site.told(), LOG)
    gone = sent(url, replace(memory, unsent=(Alert(Subject.STOPPED, "k", "t"),)), LOG)
    assert len(gone.unsent) == 1
    assert "ClientConnectorError" in caplog.text
    assert SECRET not in caplog.text + memory.cursor() + gone.cursor()


def test_a_webhook_that_drips_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline per read would start again with each byte, and the tick would die of it, and so the next one."""
    monkeypatch.setattr("backfill_pipeline.clients.webhook.WHOLE_CALL", aiohttp.ClientTimeout(total=1))
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=_drip, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}"
        started = time.monotonic()
        with pytest.raises(PipelineError, match=r"not taken.*TimeoutError"):
            post(url, Alert(Subject.EMPTIED, "k", "t"))
        assert time.monotonic() - started < 5


def _drip(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection, contextlib.suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            connection.sendall(b"a")
            time.sleep(0.1)
