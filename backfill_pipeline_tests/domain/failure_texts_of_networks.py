"""A VPN, a TLS link or a pooler that drops, word for word; `failure_texts` says how they are written and compared."""

NETWORKS = {
    "PostgreSQL 18.4 and psycopg 3.3.9: a stand-in that answers as PgBouncer does, a closed database, no route": """
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:41435/store. Why:
    connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: no more connections allowed
    (max_client_conn). Next: try again; it is repeated with a backoff where that is safe.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:41435/store. Why:
    connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: query_wait_timeout. Next: try
    again; it is repeated with a backoff where that is safe.
UNREACHABLE: PostgreSQL failed: the pooler does not reach the server. Where: postgresql://127.0.0.1:41435/store. Why:
    connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: server login has been failing,
    cached error: connect failed (server_login_retry). Next: look at the server behind the pooler.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:41435/store. Why:
    connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: server login has been failing,
    cached error: password authentication failed for user "walled" (server_login_retry). Next: correct the configured
    user, its password or its rights.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://127.0.0.1:41435/store. Why:
    connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: server conn crashed?. Next: try
    again; it is repeated with a backoff where that is safe.
SERVER_SHUTDOWN: PostgreSQL failed: the server starts up or is in recovery. Where: postgresql://127.0.0.1:41435/store.
    Why: connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: the database system is not
    accepting connections DETAIL: Hot standby mode is disabled.. Next: try again; it is repeated with a backoff where
    that is safe.
SERVER_SHUTDOWN: PostgreSQL failed: the server starts up or is in recovery. Where: postgresql://127.0.0.1:41435/closed.
    Why: connection failed: connection to server at "127.0.0.1", port 41435 failed: FATAL: database "closed" is not
    currently accepting connections. Next: try again; it is repeated with a backoff where that is safe.
UNREACHABLE: PostgreSQL failed: no way to the host. Where: postgresql://255.255.255.255:5432/store. Why: connection is
    bad: connection to server at "255.255.255.255", port 5432 failed: Network is unreachable Is the server running on
    that host and accepting TCP/IP connections?. Next: look at the network.
""",
    "the same by the ADBC driver 1.13.0": """
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:41435/store. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: no more connections
    allowed (max_client_conn). Next: try again; it is repeated with a backoff where that is safe.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:41435/store. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: query_wait_timeout.
    Next: try again; it is repeated with a backoff where that is safe.
UNREACHABLE: PostgreSQL failed: the pooler does not reach the server. Where: postgresql://127.0.0.1:41435/store. Why:
    IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: server login has
    been failing, cached error: connect failed (server_login_retry). Next: look at the server behind the pooler.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:41435/store. Why:
    IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: server login has
    been failing, cached error: password authentication failed for user "walled" (server_login_retry). Next: correct
    the configured user, its password or its rights.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://127.0.0.1:41435/store. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: server conn crashed?.
    Next: try again; it is repeated with a backoff where that is safe.
SERVER_SHUTDOWN: PostgreSQL failed: the server starts up or is in recovery. Where: postgresql://127.0.0.1:41435/store.
    Why: IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: the database
    system is not accepting connections DETAIL: Hot standby mode is disabled.. Next: try again; it is repeated with a
    backoff where that is safe.
SERVER_SHUTDOWN: PostgreSQL failed: the server starts up or is in recovery. Where: postgresql://127.0.0.1:41435/closed.
    Why: IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 41435 failed: FATAL: database
    "closed" is not currently accepting connections. Next: try again; it is repeated with a backoff where that is safe.
UNREACHABLE: PostgreSQL failed: no way to the host. Where: postgresql://255.255.255.255:5432/store. Why: IO: [libpq]
    Failed to connect: connection to server at "255.255.255.255", port 5432 failed: Network is unreachable Is the
    server running on that host and accepting TCP/IP connections?. Next: look at the network.
""",
    "libpq's fe-secure.c, fe-secure-openssl.c and fe-connect.c: they need a network that is silent, or TLS": """
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://db.example:5432/app. Why: consuming
    input failed: could not receive data from server: Connection timed out. Next: try again.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://db.example:5432/app. Why: sending query
    and params failed: could not send data to server: Broken pipe. Next: try again.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://db.example:5432/app. Why: consuming
    input failed: SSL SYSCALL error: EOF detected. Next: try again.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://db.example:5432/app. Why: consuming
    input failed: SSL SYSCALL error: Connection timed out. Next: try again.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://db.example:5432/app. Why: consuming
    input failed: SSL connection has been closed unexpectedly. Next: try again.
UNREACHABLE: PostgreSQL failed: no way to the host. Where: postgresql://10.0.0.9:5432/app. Why: connection failed:
    connection to server at "10.0.0.9", port 5432 failed: Connection timed out Is the server running on that host and
    accepting TCP/IP connections?. Next: look at the network.
UNREACHABLE: PostgreSQL failed: no way to the host. Where: postgresql://10.0.0.9:5432/app. Why: connection failed:
    connection to server at "10.0.0.9", port 5432 failed: Operation timed out Is the server running on that host and
    accepting TCP/IP connections?. Next: look at the network.
UNREACHABLE: PostgreSQL failed: no way to the host. Where: postgresql://10.0.0.9:5432/app. Why: connection failed:
    connection to server at "10.0.0.9", port 5432 failed: Network unreachable Is the server running on that host and
    accepting TCP/IP connections?. Next: look at the network.
UNREACHABLE: PostgreSQL failed: no way to the host. Where: postgresql://10.0.0.9:5432/app. Why: connection failed:
    connection to server at "10.0.0.9", port 5432 failed: Host is unreachable Is the server running on that host and
    accepting TCP/IP connections?. Next: look at the network.
""",
    "PgBouncer's objects.c and client.c, as pgx words an error of a server": """
TOO_MANY_CONNECTIONS: FATAL: no more connections allowed (max_user_connections) (SQLSTATE 08P01)
TOO_MANY_CONNECTIONS: FATAL: query_wait_timeout (SQLSTATE 08P01)
UNREACHABLE: FATAL: server login has been failing, try again later (server_login_retry) (SQLSTATE 08P01)
CONNECTION_LOST: FATAL: server conn crashed? (SQLSTATE 08P01)
""",
    "Go's net, io, context and database/sql, and clickhouse-go, as an activity of a worker in Go ends": """
UNREACHABLE: activity error (type: Reindex): dial tcp 10.0.0.9:5432: connect: connection timed out
UNREACHABLE: dial tcp 10.0.0.9:5432: connect: network is unreachable
UNREACHABLE: dial tcp 10.0.0.9:5432: connect: host is unreachable
UNREACHABLE: failed to connect to `user=u database=app`: 10.0.0.9:5432: dial error: dial tcp 10.0.0.9:5432: i/o timeout
UNREACHABLE: dial tcp: lookup db.example on 10.0.0.2:53: read udp 10.0.0.7:41234->10.0.0.2:53: i/o timeout
CONNECTION_LOST: read tcp 10.0.0.7:41234->10.0.0.9:5432: i/o timeout
CONNECTION_LOST: read tcp 10.0.0.7:41234->10.0.0.9:5432: read: connection timed out
CONNECTION_LOST: write tcp 10.0.0.7:41234->10.0.0.9:9000: write: broken pipe
CONNECTION_LOST: workflow reindex-1 FAILED: Activity task failed: failed to receive message: unexpected EOF (type
    wrapError): unexpected EOF
CONNECTION_LOST: workflow reindex-1 FAILED: Activity task failed: driver: bad connection (type errorString)
NO_ANSWER: workflow reindex-1 FAILED: Activity task failed: timeout: context deadline exceeded (type wrapError)
NO_ANSWER: clickhouse: acquire conn timeout. you can increase the number of max open conn or the dial timeout
""",
}
