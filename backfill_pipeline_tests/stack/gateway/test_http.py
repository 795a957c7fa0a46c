import gzip
import json
import socket
import zlib
from collections.abc import Callable
from urllib.parse import urlencode

import lz4.frame
import pytest
import urllib3
from backports import zstd

from backfill_pipeline_tests.stack.gateway.conftest import Gateway

http = urllib3.PoolManager()


def ask(gateway: Gateway, body: bytes = b"", method: str = "POST", headers: dict | None = None, **params: str):
    address = f"{gateway.url}?{urlencode(params)}"
    return http.request(method, address, body=body, headers=headers or {}, decode_content=False)


def test_a_probe_of_health_gets_the_servers_own_words(gateway: Gateway) -> None:
    assert http.request("GET", f"{gateway.url}ping").data == b"Ok.\n"
    assert http.request("GET", gateway.url).data == b"Ok.\n"


def test_a_query_in_address_body_or_both_is_one_text(gateway: Gateway) -> None:
    assert ask(gateway, query="SELECT 1", method="GET").data == b"1\n"
    assert ask(gateway, b"SELECT 2").data == b"2\n"
    assert ask(gateway, b"+ 3 FORMAT CSV", query="SELECT 4").data == b"7\n"


def test_a_get_cannot_change_anything(gateway: Gateway) -> None:
    response = ask(gateway, query="DROP TABLE nothing", method="GET")
    assert response.headers["X-ClickHouse-Exception-Code"] == "164"


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELECT * FROM missing", 60, 404),
        ("SELECT nope", 47, 404),
        ("SELECT no_function(1)", 46, 404),
        ("SELECT FROM WHERE", 62, 400),
        ("\0INSERT INTO nowhere FORMAT TSV\n1\n", 62, 400),
        ("\x01DROP TABLE nowhere", 62, 400),
        ("DROP DATABASE missing", 81, 404),
        ("SELECT toDate('x')", 38, 400),
        ("SELECT throwIf(1)", 395, 500),
        ("SELECT 1 SETTINGS no_setting = 1", 115, 404),
    ],
)
def test_an_error_is_not_told_by_another_code_or_status_than_a_servers(
    gateway: Gateway, sql: str, code: int, status: int
) -> None:
    response = ask(gateway, sql.encode())
    assert (response.headers["X-ClickHouse-Exception-Code"], response.status) == (str(code), status)
    assert response.data.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert b"(version " in response.data


def test_an_unknown_setting_in_the_address_is_refused_not_ignored(gateway: Gateway) -> None:
    assert ask(gateway, b"SELECT 1", no_such_setting="1").headers["X-ClickHouse-Exception-Code"] == "115"


def test_settings_and_parameters_do_not_leak_into_the_next_request(gateway: Gateway) -> None:
    value = b"SELECT getSetting('max_threads')"
    assert ask(gateway, value, max_threads="7").data == b"7\n"
    assert ask(gateway, value).data != b"7\n"
    assert ask(gateway, b"SELECT {x:String}", param_x="a\\tb'").data == b"a\\tb\\'\n"
    assert ask(gateway, b"SELECT {x:String}").headers["X-ClickHouse-Exception-Code"] == "456"


def test_headers_tell_what_clients_read_from_them(gateway: Gateway) -> None:
    headers = ask(gateway, b"SELECT 1 FORMAT JSON", query_id="mine-1").headers
    assert headers["X-ClickHouse-Query-Id"] == "mine-1"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert headers["X-ClickHouse-Server-Display-Name"] == "shard-1"
    assert headers["X-ClickHouse-Format"] == "JSON"
    assert json.loads(headers["X-ClickHouse-Summary"])["result_rows"] == "1"
    assert "X-ClickHouse-Format" not in ask(gateway, b"SYSTEM FLUSH LOGS").headers


def test_the_default_format_comes_from_address_or_header(gateway: Gateway) -> None:
    assert ask(gateway, b"SELECT 'a'", default_format="CSV").data == b'"a"\n'
    assert ask(gateway, b"SELECT 'a'", headers={"X-ClickHouse-Format": "CSV"}).data == b'"a"\n'


DECODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
}
ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("encoding", sorted(DECODE))
def test_a_compressed_body_is_read_and_answered_in_every_encoding(gateway: Gateway, encoding: str) -> None:
    sent = ENCODE[encoding](b"SELECT number ") + ENCODE[encoding](b"FROM numbers(100000)")
    headers = {"Content-Encoding": encoding, "Accept-Encoding": encoding}
    response = ask(gateway, sent, headers=headers, enable_http_compression="1")
    assert response.headers["Content-Encoding"] == encoding
    assert DECODE[encoding](response.data) == b"".join(b"%d\n" % n for n in range(100_000))


@pytest.mark.parametrize("encoding", sorted(ENCODE))
def test_an_insert_whose_end_is_cut_off_is_refused_not_shortened(gateway: Gateway, encoding: str) -> None:
    ask(gateway, b"CREATE OR REPLACE TABLE cut (id UInt64) ENGINE = MergeTree ORDER BY id")
    body = ENCODE[encoding](b"1\n" * 1000) + ENCODE[encoding](b"2\n" * 1000)
    response = ask(gateway, body[:-5], headers={"Content-Encoding": encoding}, query="INSERT INTO cut FORMAT TSV")
    assert response.headers["X-ClickHouse-Exception-Code"] == "271"
    assert ask(gateway, b"SELECT count() FROM cut").data == b"0\n"
    assert ask(gateway, b"no frame", headers={"Content-Encoding": encoding}).status == 500


def test_an_error_is_readable_although_the_client_accepts_compression(gateway: Gateway) -> None:
    response = ask(gateway, b"SELECT nope", headers={"Accept-Encoding": "lz4"}, enable_http_compression="1")
    assert response.data.startswith(b"Code: 47")


def test_it_is_not_reachable_from_other_machines(gateway: Gateway) -> None:
    others = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for address in {str(other) for other in others if not str(other).startswith("127.")}:
        with pytest.raises(OSError), socket.create_connection((address, gateway.port), timeout=2):
            pass
