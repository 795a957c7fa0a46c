import os
import shutil
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from backfill_pipeline.clients.port_forward.holder import Held
from backfill_pipeline.clients.port_forward.keeper import Pace, delay_after
from backfill_pipeline.clients.port_forward.place import Place
from backfill_pipeline.config import Forward
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline_tests.clients.forwards import PACE, Standin, command_of, gone
from backfill_pipeline_tests.clients.jobs import lives, wait_for

NO_SANDBOX = (
    "an error occurred forwarding 20001 -> 5432: error forwarding port 5432 to pod 0123, uid : failed to find sandbox: "
    'network namespace path "/var/run/netns/cni-1" does not exist'
)
FORBIDDEN = (
    'error: error upgrading connection: pods "it-0" is forbidden: User "system:serviceaccount:cron:backfill-pipeline" '
    'cannot create resource "pods/portforward" in API group "" in the namespace "databases"'
)


def echoed(port: int, said: bytes = b"hello") -> bytes:
    """Empty where nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 3) as connection:
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(1 << 20):
                answer += part
            return answer
    except OSError:
        return b""


def works_again(port: int, seconds: float = 15) -> None:
    wait_for(lambda: echoed(port) == b"hello", "an answer through the forward", seconds)


def test_not_a_byte_is_lost_or_changed_in_either_direction(standin: Standin) -> None:
    with standin.held() as held:
        said = os.urandom(3_000_000)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: echoed(held.port(), said), range(4))) == {said}


def test_nobody_outside_of_this_machine_can_use_it(standin: Standin) -> None:
    with standin.held() as held:
        listening = f":{held.port():04X} 00000000:0000 0A"
        lines = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
        found = [line.split()[1] for line in lines.splitlines() if listening in line]
        assert [address.split(":")[0] for address in found] == ["0100007F"]


def test_kubectl_is_told_context_namespace_and_target_and_never_guesses_them(standin: Standin) -> None:
    with standin.held() as held:
        port = held.port()
        assert standin.starts()[0]["arguments"] == [
            *("--context", "north", "--kubeconfig", str(standin.kubeconfig), "--namespace", "databases"),
            *("port-forward", "--address", "127.0.0.1", "--pod-running-timeout=10s"),
            *("service/it", f"{port}:5432"),
        ]


def test_two_processes_that_need_one_forward_start_one_kubectl(standin: Standin) -> None:
    with standin.holder() as (_, first), standin.holder() as (_, second), standin.held() as held:
        assert first == second == held.port()
        assert len(standin.starts()) == len(standin.keepers()) == 1


def test_eight_processes_that_come_at_once_start_one_kubectl(standin: Standin) -> None:
    held = [standin.held() for _ in range(8)]
    assert len({h.port() for h in held}) == 1
    assert len(standin.starts()) == len(standin.keepers()) == 1
    for one in held:
        one.close()


def test_a_user_that_is_killed_takes_the_forward_from_nobody_else(standin: Standin) -> None:
    with standin.holder() as (first, port), standin.holder():
        first.kill()
        first.wait()
        time.sleep(PACE.linger * 2)
        assert echoed(port) == b"hello"
        assert len(standin.starts()) == 1


def test_no_forward_is_left_when_its_last_user_was_killed(standin: Standin) -> None:
    with standin.holder() as (only, port):
        only.kill()
        only.wait()
        gone(standin)
        assert echoed(port) == b""


def test_the_next_step_of_a_run_finds_the_forward_still_open(standin: Standin) -> None:
    with standin.held() as held:
        first = held.port()
    with standin.held() as held:
        assert held.port() == first
    assert len(standin.starts()) == 1


def test_a_user_that_comes_while_the_keeper_ends_gets_a_forward_that_works(standin: Standin) -> None:
    for _ in range(6):
        with standin.held(pace=replace(PACE, linger=0.1)) as held:
            assert echoed(held.port()) == b"hello"
        time.sleep(0.12)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGKILL])
def test_a_forward_whose_kubectl_ends_is_there_again_at_the_same_port(standin: Standin, number: signal.Signals) -> None:
    with standin.held() as held:
        port = held.port()
        os.kill(standin.kubectl(), number)
        wait_for(lambda: len(standin.starts()) == 2, "kubectl's next start")
        works_again(port)
        assert held.port() == port


def test_a_kubectl_that_listens_on_and_forwards_nothing_is_replaced(standin: Standin) -> None:
    """kubernetes/kubernetes#67059: it outlives the pod that it leads to."""
    with standin.held() as held:
        port, first = held.port(), standin.kubectl()
        os.kill(first, signal.SIGUSR2)
        wait_for(lambda: not lives(first), "its end")
        works_again(port)


def test_a_slow_answer_does_not_cut_the_connections_of_others(standin: Standin) -> None:
    """One probe that comes late is not enough."""
    with standin.held(pace=replace(PACE, probe=0.3, misses=20)) as held:
        port, kubectl = held.port(), standin.kubectl()
        os.kill(kubectl, signal.SIGSTOP)
        time.sleep(2)
        os.kill(kubectl, signal.SIGCONT)
        works_again(port)
        assert standin.kubectl() == kubectl


def test_an_api_server_that_fails_is_asked_less_and_less_often(standin: Standin) -> None:
    with standin.held() as held:
        port, to = held.port(), standin.kubeconfig.read_text()
        standin.does(fails="Unable to connect to the server: dial tcp: i/o timeout")
        os.kill(standin.kubectl(), signal.SIGUSR1)
        wait_for(lambda: len(standin.starts()) > 6, "six starts")
        at = [s["at"] for s in standin.starts()[1:]]
        waits = [later - earlier for earlier, later in pairwise(at)]
        assert waits == sorted(waits)
        assert waits[-1] > 5 * waits[0]
        standin.kubeconfig.write_text(to)
        works_again(port)


def test_the_delays_double_up_to_the_longest_and_differ_between_keepers() -> None:
    pace = Pace(first_delay=1, longest_delay=30)
    assert [delay_after(n, pace, 0) for n in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]
    assert delay_after(10_000, pace, -1) == 22.5
    assert delay_after(1, pace, 1) == 1.25


def test_a_forward_whose_keeper_was_killed_is_kept_by_another_at_the_same_port(standin: Standin) -> None:
    with standin.held() as held, standin.holder():
        port, (keeper,) = held.port(), standin.keepers()
        first = standin.kubectl()
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: not lives(first), "the end of the kubectl that it left", 5)
        wait_for(lambda: len(standin.starts()) == 2, "kubectl's next start")
        works_again(port)
        assert len(standin.keepers()) == 1


def test_rows_of_another_cluster_are_never_reached_through_a_port_that_was_this_ones(
    standin: Standin, tmp_path: Path
) -> None:
    """Nothing listens there while kubectl is away; whoever asks for a port then does not get this one."""
    with standin.held() as held:
        port = held.port()
        standin.does(fails="error: lost connection to pod")
        os.kill(standin.kubectl(), signal.SIGUSR1)
        wait_for(lambda: len(standin.starts()) > 2, "that it is away")
        other = Place(standin.root, "other")
        other.prepare()
        assert other._taken(port) is None
        assert other.held_port(port) is None
    gone(standin)
    assert other._taken(port) is not None


def test_a_port_that_somebody_took_is_passed_over_at_the_start(standin: Standin) -> None:
    """Between the choice of a port and kubectl's listening another program may take it."""
    to = standin.kubeconfig.read_text()
    standin.does(fails="Unable to listen on port 20000\nerror: unable to listen on any of the requested ports: [{1 2}]")
    with standin.held() as held:
        wait_for(lambda: len(standin.starts()) > 1, "two starts")
        standin.kubeconfig.write_text(to)
        assert echoed(held.port()) == b"hello"
        assert len({s["arguments"][-1] for s in standin.starts()[:2]}) == 2


def test_a_port_on_which_somebody_listens_is_not_chosen(tmp_path: Path) -> None:
    place = Place(tmp_path / "root", "any")
    place.prepare()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert place._taken(taken.getsockname()[1]) is None


def failure(held: Held, seconds: float = 30) -> PipelineError:
    with held, pytest.raises(PipelineError) as raised:
        held.port(seconds)
    assert "service/it:5432 in databases of north" in raised.value.where
    return raised.value


def test_a_missing_right_is_named_with_account_rule_and_file_and_not_waited_for(standin: Standin) -> None:
    standin.does(fails=FORBIDDEN)
    began = time.monotonic()
    error = failure(standin.held())
    assert time.monotonic() - began < 10
    assert (error.kind, error.code) == (Kind.STOP, "403")
    assert error.why == "system:serviceaccount:cron:backfill-pipeline may not create pods/portforward"
    assert "deploy/rbac-port-forward.yaml" in error.next_step
    assert '{apiGroups: [""], resources: [pods/portforward], verbs: [create]}' in error.next_step


@pytest.mark.parametrize(
    ("said", "kind", "next_step"),
    [
        ('Error from server (NotFound): services "it" not found', Kind.MISSING, "correct `forward`"),
        ('error: context "north" does not exist', Kind.MISSING, "context"),
        ('error: auth info "somebody" does not exist', Kind.MISSING, "context"),
        ("error: Service it does not have a service port 5432", Kind.MISSING, "port"),
        ("error: stat /etc/kubeconfig: no such file or directory", Kind.MISSING, "kubeconfig"),
        ("error: You must be logged in to the server (Unauthorized)", Kind.STOP, "credentials"),
    ],
)
def test_what_waiting_does_not_change_is_said_at_once(standin: Standin, said: str, kind: Kind, next_step: str) -> None:
    standin.does(fails=said)
    began = time.monotonic()
    error = failure(standin.held())
    assert time.monotonic() - began < 10
    assert error.kind is kind
    assert said in error.why
    assert next_step in error.next_step


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("error: unable to forward port because pod is not running. Current status=Pending", Kind.RETRY),
        ("error: error upgrading connection: unable to upgrade connection: pod does not exist", Kind.RETRY),
        (NO_SANDBOX, Kind.RETRY),
        ("Unable to connect to the server: dial tcp: lookup api.north: no such host", Kind.UNREACHABLE),
        ("error: something that nobody has seen before", Kind.UNKNOWN),
    ],
)
def test_what_may_pass_is_waited_for_until_the_deadline_and_then_named(standin: Standin, said: str, kind: Kind) -> None:
    standin.does(fails=said)
    began = time.monotonic()
    error = failure(standin.held(), 2)
    assert 2 <= time.monotonic() - began < 6
    assert error.kind is kind
    assert said in error.why
    assert len(standin.starts()) > 1


def test_a_pod_that_starts_late_is_waited_for(standin: Standin) -> None:
    to = standin.kubeconfig.read_text()
    standin.does(fails="error: unable to forward port because pod is not running. Current status=Pending")
    with standin.held() as held:
        wait_for(lambda: len(standin.starts()) > 2, "some starts")
        standin.kubeconfig.write_text(to)
        assert echoed(held.port()) == b"hello"


def test_a_kubectl_that_says_nothing_is_not_waited_for_beyond_the_deadline(standin: Standin) -> None:
    standin.does(silent=True)
    began = time.monotonic()
    error = failure(standin.held(), 1)
    assert time.monotonic() - began < 4
    assert error.kind is Kind.UNREACHABLE


def test_a_listening_kubectl_before_a_pod_where_nobody_listens_is_not_taken_for_an_open_forward(
    standin: Standin,
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        standin.does(to=closed.getsockname()[1])
        error = failure(standin.held(), 1)
    assert error.kind is Kind.UNREACHABLE
    assert "nobody answers in the pod at this port" in error.why


def test_a_keeper_that_can_not_start_is_tried_now_and_then_and_its_folder_is_named(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one whose disk is full, or whose Python is gone."""
    program = standin.folder / "python"
    program.write_text(f"#!/bin/sh\necho >> {standin.folder}/tries\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    error = failure(standin.held(), 2.5)
    assert str(standin.root) in error.next_step
    assert 2 <= len((standin.folder / "tries").read_text().splitlines()) <= 4


def test_without_kubectl_it_is_said_before_anything_is_started(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PipelineError, match="no `kubectl` on PATH"):
        standin.held()


def test_a_kubectl_that_does_not_start_is_named(standin: Standin) -> None:
    program = Path(str(shutil.which("kubectl")))
    program.write_text("#!/nowhere/sh\n")
    assert "could not be started" in failure(standin.held()).why


def test_somebody_elses_folder_is_no_place_for_commands_that_we_run(standin: Standin) -> None:
    standin.root.mkdir(mode=0o755)
    with pytest.raises(PipelineError, match="can't be trusted"):
        standin.held()
    standin.root.chmod(0o700)
    with standin.held() as held:
        assert echoed(held.port()) == b"hello"


def test_what_leads_elsewhere_is_another_forward(standin: Standin) -> None:
    with standin.held() as one, standin.held(target="pod/it-1") as other:
        assert one.port() != other.port()
        assert len(standin.starts()) == 2


def test_in_a_pod_its_own_account_is_used_and_no_kubeconfig_that_lies_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standin = Standin(tmp_path)
    monkeypatch.setenv("PATH", standin.path())
    forward = Forward(target="pod/it-0", port=1, namespace="databases")
    with Held(forward, "http", root=standin.root, pace=PACE):
        wait_for(lambda: bool(standin.keepers()), "the keeper")
        order = Place(standin.root, next(standin.root.glob("*/order.json")).parent.name).order()
    assert order.command[1:5] == ("--kubeconfig", os.devnull, "--namespace", "databases")
    gone(standin)


def test_no_password_of_the_environment_shows_in_a_command_line(
    standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORTH_PG_PASSWORD", "hunter2-do-not-print")
    with standin.held() as held:
        held.port()
        lines = [command_of(p) for p in (*standin.keepers(), standin.kubectl())]
        assert all(lines)
        assert not [line for line in lines if "hunter2" in line]
