"""PostgreSQL's failures as they reached us; `failure_texts` says how they are written and compared."""

POSTGRESQL = {
    "PostgreSQL 18.4 by psycopg 3.3.9 (the conflict with recovery: on a streaming replica)": """
SCHEMA_DRIFT: PostgreSQL failed: the source has no such column [42703]. Where: postgresql://127.0.0.1:26695/store.
    Why: column "nope" does not exist LINE 1: SELECT nope FROM app.chats ^. Next: compare the source's schema with the
    one in the documentation, then start again.
SCHEMA_DRIFT: PostgreSQL failed: the source has no such table [42P01]. Where: postgresql://127.0.0.1:26695/store. Why:
    relation "app.nowhere" does not exist LINE 1: SELECT 1 FROM app.nowhere ^. Next: compare the source's schema with
    the one in the documentation, then start again.
SCHEMA_DRIFT: PostgreSQL failed: the source has no such schema [3F000]. Where: postgresql://127.0.0.1:26695/store.
    Why: schema "nope" does not exist LINE 1: SELECT nope.f() ^. Next: compare the source's schema with the one in the
    documentation, then start again.
STATEMENT_TIMEOUT: PostgreSQL failed: statement timeout, or cancelled by someone [57014]. Where:
    postgresql://127.0.0.1:26695/store. Why: canceling statement due to statement timeout. Next: try again with a
    smaller range.
SERVER_SHUTDOWN: PostgreSQL failed: the server is being shut down or an administrator ended the session [57P01].
    Where: postgresql://127.0.0.1:26695/store. Why: terminating connection due to administrator command. Next: try
    again; it is repeated with a backoff where that is safe.
QUERY_KILLED: PostgreSQL failed: statement timeout, or cancelled by someone [57014]. Where:
    postgresql://127.0.0.1:26695/store. Why: canceling statement due to user request. Next: try again with a smaller
    range.
DEADLOCK: PostgreSQL failed: deadlock: the server ended us so that another could go on [40P01]. Where:
    postgresql://127.0.0.1:26695/store. Why: deadlock detected DETAIL: Process 6162 waits for ShareLock on transaction
    756; blocked by process 6163. Process 6163 waits for ShareLock on transaction 755; blocked by process 6162. HINT:
    See server log for query details. CONTEXT: while updating tuple (0,2) in relation "fork". Next: try again; it is
    repeated with a backoff where that is safe.
SERIALIZATION: PostgreSQL failed: serialization failure or conflict with recovery [40001]. Where:
    postgresql://127.0.0.1:26695/store. Why: could not serialize access due to read/write dependencies among
    transactions DETAIL: Reason code: Canceled on identification as a pivot, during conflict out checking. HINT: The
    transaction might succeed if retried.. Next: try again; on a replica: hot_standby_feedback.
SERIALIZATION: PostgreSQL failed: serialization failure or conflict with recovery [40001]. Where:
    postgresql://127.0.0.1:26695/store. Why: could not serialize access due to read/write dependencies among
    transactions DETAIL: Reason code: Canceled on identification as a pivot, during commit attempt. HINT: The
    transaction might succeed if retried.. Next: try again; on a replica: hot_standby_feedback.
LOCK_TIMEOUT: PostgreSQL failed: a lock was not available in time [55P03]. Where: postgresql://127.0.0.1:26695/store.
    Why: canceling statement due to lock timeout LINE 1: SELECT 1 FROM app.chats ^. Next: try again; it is repeated
    with a backoff where that is safe.
LOCK_TIMEOUT: PostgreSQL failed: a lock was not available in time [55P03]. Where: postgresql://127.0.0.1:26695/store.
    Why: could not obtain lock on relation "app.chats". Next: try again; it is repeated with a backoff where that is
    safe.
IDLE_TIMEOUT: PostgreSQL failed: idle in transaction timeout: the sink was slower than the source allows [25P03].
    Where: postgresql://127.0.0.1:26695/store. Why: terminating connection due to idle-in-transaction timeout. Next:
    try again; it is repeated with a backoff where that is safe.
IDLE_TIMEOUT: PostgreSQL failed: idle session timeout [57P05]. Where: postgresql://127.0.0.1:26695/store. Why:
    terminating connection due to idle-session timeout. Next: try again; it is repeated with a backoff where that is
    safe.
STATEMENT_TIMEOUT: PostgreSQL failed: transaction timeout [25P04]. Where: postgresql://127.0.0.1:26695/store. Why:
    terminating connection due to transaction timeout. Next: try again with a smaller range.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:26695/store. Why:
    connection failed: connection to server at "127.0.0.1", port 26695 failed: FATAL: too many connections for role
    "none_left". Next: try again; it is repeated with a backoff where that is safe.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:26695/store. Why:
    connection failed: connection to server at "127.0.0.1", port 26695 failed: FATAL: too many connections for
    database "store". Next: try again; it is repeated with a backoff where that is safe.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:26695/store. Why:
    connection failed: connection to server at "127.0.0.1", port 26695 failed: FATAL: remaining connection slots are
    reserved for roles with the SUPERUSER attribute. Next: try again; it is repeated with a backoff where that is
    safe.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:26695/store. Why:
    connection failed: connection to server at "127.0.0.1", port 26695 failed: FATAL: sorry, too many clients already.
    Next: try again; it is repeated with a backoff where that is safe.
NO_RESOURCE: PostgreSQL failed: the server is out of a resource [53400]. Where: postgresql://127.0.0.1:26695/store.
    Why: temporary file size exceeds "temp_file_limit" (64kB). Next: try again; it is repeated with a backoff where
    that is safe.
NOT_PERMITTED: PostgreSQL failed: the user may not do this [42501]. Where: postgresql://127.0.0.1:26695/store. Why:
    permission denied for schema app LINE 1: SELECT 1 FROM app.chats ^. Next: correct the configured user, its
    password or its rights.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:26695/store. Why:
    connection failed: connection to server at "127.0.0.1", port 26695 failed: FATAL: role "nobody_here" does not
    exist. Next: correct the configured user, its password or its rights.
MISSING: PostgreSQL failed: the server has no such database. Where: postgresql://127.0.0.1:26695/nowhere. Why:
    connection failed: connection to server at "127.0.0.1", port 26695 failed: FATAL: database "nowhere" does not
    exist. Next: correct `database` in the configuration.
UNREACHABLE: PostgreSQL failed: the host's name is not known. Where: postgresql://no-such-host.invalid:26695/store.
    Why: failed to resolve host 'no-such-host.invalid': [Errno -2] Name or service not known. Next: correct `host`.
UNREACHABLE: PostgreSQL failed: nobody listens at the address. Where: postgresql://127.0.0.1:23766/store. Why:
    connection failed: connection to server at "127.0.0.1", port 23766 failed: Connection refused Is the server
    running on that host and accepting TCP/IP connections?. Next: start PostgreSQL or correct it.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://127.0.0.1:35883/store. Why: consuming
    input failed: server closed the connection unexpectedly This probably means the server terminated abnormally
    before or while processing the request.. Next: try again; it is repeated with a backoff where that is safe.
FAILS_AGAIN: PostgreSQL failed: a value can't be used as this type [22P02]. Where: postgresql://127.0.0.1:26695/store.
    Why: invalid input syntax for type integer: "x" LINE 1: SELECT 'x'::int ^. Next: look at the row that the message
    names.
FAILS_AGAIN: PostgreSQL failed: the statement does not fit the server [42601]. Where:
    postgresql://127.0.0.1:26695/store. Why: syntax error at or near "SELEC" LINE 1: SELEC 1 ^. Next: report it: the
    statement is ours.
RECOVERY_CONFLICT: PostgreSQL failed: serialization failure or conflict with recovery [40001]. Where:
    postgresql://127.0.0.1:26303/store. Why: canceling statement due to conflict with recovery DETAIL: User query
    might have needed to see row versions that must be removed.. Next: try again; on a replica: hot_standby_feedback.
READ_ONLY: PostgreSQL failed: the server is read-only, as after a failover [25006]. Where:
    postgresql://127.0.0.1:26303/store. Why: cannot execute CREATE TABLE in a read-only transaction. Next: try again;
    name the primary as `host`.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:25836/store. Why:
    connection failed: connection to server at "127.0.0.1", port 25836 failed: fe_sendauth: no password supplied.
    Next: correct the configured user, its password or its rights.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:25836/store. Why:
    connection failed: connection to server at "127.0.0.1", port 25836 failed: FATAL: password authentication failed
    for user "walled". Next: correct the configured user, its password or its rights.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:25836/store. Why:
    connection failed: connection to server at "127.0.0.1", port 25836 failed: FATAL: pg_hba.conf rejects connection
    for host "127.0.0.1", user "barred", database "store", no encryption. Next: correct the configured user, its
    password or its rights.
SERVER_SHUTDOWN: PostgreSQL failed: the server is being shut down or an administrator ended the session. Where:
    postgresql://127.0.0.1:26466/postgres. Why: connection failed: connection to server at "127.0.0.1", port 26466
    failed: FATAL: the database system is shutting down. Next: try again; it is repeated with a backoff where that is
    safe.
UNREACHABLE: PostgreSQL failed: no answer in time. Where: postgresql://127.0.0.1:45757/store. Why: connection timeout
    expired. Next: look at the network and the server.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://127.0.0.1:25836/store. Why: the
    connection is closed. Next: try again; it is repeated with a backoff where that is safe.
""",
    "PostgreSQL 18.4 by the ADBC driver 1.13.0 (the conflict with recovery: on a streaming replica)": """
SCHEMA_DRIFT: PostgreSQL failed: the source has no such column [42703]. Where: postgresql://127.0.0.1:26695/store.
    Why: NOT_FOUND: Failed to prepare query: ERROR: column "nope" does not exist LINE 1: SELECT nope FROM app.chats ^
    Query was: SELECT nope FROM app.chats. SQLSTATE: 42703. Next: compare the source's schema with the one in the
    documentation, then start again.
SCHEMA_DRIFT: PostgreSQL failed: the source has no such table [42P01]. Where: postgresql://127.0.0.1:26695/store. Why:
    NOT_FOUND: Failed to prepare query: ERROR: relation "app.nowhere" does not exist LINE 1: SELECT 1 FROM app.nowhere
    ^ Query was: SELECT 1 FROM app.nowhere. SQLSTATE: 42P01. Next: compare the source's schema with the one in the
    documentation, then start again.
SCHEMA_DRIFT: PostgreSQL failed: the source has no such schema [3F000]. Where: postgresql://127.0.0.1:26695/store.
    Why: NOT_FOUND: Failed to prepare query: ERROR: schema "nope" does not exist LINE 1: SELECT nope.f() ^ Query was:
    SELECT nope.f(). SQLSTATE: 3F000. Next: compare the source's schema with the one in the documentation, then start
    again.
STATEMENT_TIMEOUT: PostgreSQL failed: statement timeout, or cancelled by someone [57014]. Where:
    postgresql://127.0.0.1:26695/store. Why: CANCELLED: [libpq] Execution error [PGRES_FATAL_ERROR]: ERROR: canceling
    statement due to statement timeout . SQLSTATE: 57014. Next: try again with a smaller range.
SERVER_SHUTDOWN: PostgreSQL failed: the server is being shut down or an administrator ended the session [57P01].
    Where: postgresql://127.0.0.1:26695/store. Why: IO: [libpq] Execution error [PGRES_FATAL_ERROR]: FATAL:
    terminating connection due to administrator command . SQLSTATE: 57P01. Next: try again; it is repeated with a
    backoff where that is safe.
QUERY_KILLED: PostgreSQL failed: statement timeout, or cancelled by someone [57014]. Where:
    postgresql://127.0.0.1:26695/store. Why: CANCELLED: [libpq] Execution error [PGRES_FATAL_ERROR]: ERROR: canceling
    statement due to user request . SQLSTATE: 57014. Next: try again with a smaller range.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:26695/store. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 26695 failed: FATAL: too many connections for
    role "none_left". Next: try again; it is repeated with a backoff where that is safe.
TOO_MANY_CONNECTIONS: PostgreSQL failed: too many connections. Where: postgresql://127.0.0.1:26695/store. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 26695 failed: FATAL: too many connections for
    database "store". Next: try again; it is repeated with a backoff where that is safe.
NO_RESOURCE: PostgreSQL failed: the server is out of a resource [53400]. Where: postgresql://127.0.0.1:26695/store.
    Why: IO: [libpq] Execution error [PGRES_FATAL_ERROR]: ERROR: temporary file size exceeds "temp_file_limit" (64kB)
    . SQLSTATE: 53400. Next: try again; it is repeated with a backoff where that is safe.
NOT_PERMITTED: PostgreSQL failed: the user may not do this [42501]. Where: postgresql://127.0.0.1:26695/store. Why:
    UNAUTHORIZED: Failed to prepare query: ERROR: permission denied for schema app LINE 1: SELECT 1 FROM app.chats ^
    Query was: SELECT 1 FROM app.chats. SQLSTATE: 42501. Next: correct the configured user, its password or its
    rights.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:26695/store. Why:
    IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 26695 failed: FATAL: role "nobody_here"
    does not exist. Next: correct the configured user, its password or its rights.
MISSING: PostgreSQL failed: the server has no such database. Where: postgresql://127.0.0.1:26695/nowhere. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 26695 failed: FATAL: database "nowhere" does
    not exist. Next: correct `database` in the configuration.
UNREACHABLE: PostgreSQL failed: the host's name is not known. Where: postgresql://no-such-host.invalid:26695/store.
    Why: IO: [libpq] Failed to connect: could not translate host name "no-such-host.invalid" to address: Name or
    service not known. Next: correct `host`.
UNREACHABLE: PostgreSQL failed: nobody listens at the address. Where: postgresql://127.0.0.1:26662/store. Why: IO:
    [libpq] Failed to connect: connection to server at "127.0.0.1", port 26662 failed: Connection refused Is the
    server running on that host and accepting TCP/IP connections?. Next: start PostgreSQL or correct it.
CONNECTION_LOST: PostgreSQL failed: the connection was lost. Where: postgresql://127.0.0.1:41779/store. Why: IO:
    [libpq] Failed to execute query: could not begin COPY: server closed the connection unexpectedly This probably
    means the server terminated abnormally before or while processing the request. Query was: COPY (SELECT
    pg_sleep(5)) TO STDOUT (FORMAT binary). Next: try again; it is repeated with a backoff where that is safe.
FAILS_AGAIN: PostgreSQL failed: a value can't be used as this type [22P02]. Where: postgresql://127.0.0.1:26695/store.
    Why: INVALID_DATA: Failed to prepare query: ERROR: invalid input syntax for type integer: "x" LINE 1: SELECT
    'x'::int ^ Query was: SELECT 'x'::int. SQLSTATE: 22P02. Next: look at the row that the message names.
FAILS_AGAIN: PostgreSQL failed: the statement does not fit the server [42601]. Where:
    postgresql://127.0.0.1:26695/store. Why: INVALID_ARGUMENT: Failed to prepare query: ERROR: syntax error at or near
    "SELEC" LINE 1: SELEC 1 ^ Query was: SELEC 1. SQLSTATE: 42601. Next: report it: the statement is ours.
RECOVERY_CONFLICT: PostgreSQL failed: serialization failure or conflict with recovery [40001]. Where:
    postgresql://127.0.0.1:26303/store. Why: IO: [libpq] Execution error [PGRES_FATAL_ERROR]: ERROR: canceling
    statement due to conflict with recovery DETAIL: User query might have needed to see row versions that must be
    removed. . SQLSTATE: 40001. Next: try again; on a replica: hot_standby_feedback.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:25836/store. Why:
    IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 25836 failed: fe_sendauth: no password
    supplied. Next: correct the configured user, its password or its rights.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:25836/store. Why:
    IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 25836 failed: FATAL: password
    authentication failed for user "walled". Next: correct the configured user, its password or its rights.
NOT_PERMITTED: PostgreSQL failed: the server does not accept the user. Where: postgresql://127.0.0.1:25836/store. Why:
    IO: [libpq] Failed to connect: connection to server at "127.0.0.1", port 25836 failed: FATAL: pg_hba.conf rejects
    connection for host "127.0.0.1", user "barred", database "store", no encryption. Next: correct the configured
    user, its password or its rights.
UNREACHABLE: PostgreSQL failed: no answer in time. Where: postgresql://127.0.0.1:46477/store. Why: IO: [libpq] Failed
    to connect: connection to server at "127.0.0.1", port 46477 failed: timeout expired. Next: look at the network and
    the server.
""",
}
