import socket

from backfill_pipeline.clients.loopback import LOOPBACK, is_free
from backfill_pipeline.stack.ports import FIRST, LAST, choose_ports


def test_an_address_that_people_noted_does_not_change_while_its_port_is_free() -> None:
    first = choose_ports(["webserver", "postgres"], {})
    assert choose_ports(["postgres", "webserver"], first) == first


def test_a_start_does_not_fail_on_a_port_that_somebody_else_took_meanwhile() -> None:
    kept = choose_ports(["webserver", "postgres"], {})
    with socket.socket() as other:
        other.bind((LOOPBACK, kept["webserver"]))
        other.listen()
        again = choose_ports(["webserver", "postgres"], kept)
        assert not is_free(kept["webserver"])
    assert again["webserver"] != kept["webserver"]
    assert again["postgres"] == kept["postgres"]


def test_two_parts_never_get_the_same_port() -> None:
    names = [f"part-{n}" for n in range(100)]
    ports = choose_ports(names, dict.fromkeys(names, FIRST + 17))
    assert len(set(ports.values())) == len(names)


def test_no_client_can_take_the_port_of_a_part_that_restarts() -> None:
    lowest_of_outgoing_connections = 32_768
    assert FIRST <= min(choose_ports(["a", "b", "c"], {}).values()) <= LAST < lowest_of_outgoing_connections
