"""ClickHouse's failures as they reached us; `failure_texts` says how they are written and compared."""

CLICKHOUSE = {
    "ClickHouse 26.9.2.1, embedded, behind the gateway, by clickhouse-connect 1.12.0": """
SCHEMA_DRIFT: ClickHouse failed [60]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: unknown table: Received
    ClickHouse exception, code: 60, server response: Code: 60. DB::Exception: Unknown table expression identifier
    'nowhere'. In scope SELECT 1 FROM nowhere. (UNKNOWN_TABLE) (version 26.9.2.1 (official build)) (for url
    http://127.0.0.1:24673). Next: compare the server's schema with the configuration.
SCHEMA_DRIFT: ClickHouse failed [47]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: unknown identifier: a column
    is missing: Received ClickHouse exception, code: 47, server response: Code: 47. DB::Exception: Unknown expression
    identifier `nope`. In scope SELECT nope FROM conversation. (UNKNOWN_IDENTIFIER) (version 26.9.2.1 (official
    build)) (for url http://127.0.0.1:24673). Next: compare the server's schema with the configuration.
SCHEMA_DRIFT: ClickHouse failed [16]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: no such column in the table:
    Received ClickHouse exception, code: 16, server response: Code: 16. DB::Exception: No such column nope in table
    default.conversation (e37bc4c4-d8bf-42c1-88d1-8b433f2265cb). (NO_SUCH_COLUMN_IN_TABLE) (version 26.9.2.1 (official
    build)) (for url http://127.0.0.1:24673). Next: compare the server's schema with the configuration.
MISSING: ClickHouse failed [81]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: unknown database: Received
    ClickHouse exception, code: 81, server response: Code: 81. DB::Exception: Database nowhere does not exist.
    (UNKNOWN_DATABASE) (version 26.9.2.1 (official build)) (for url http://127.0.0.1:24673). Next: compare the
    server's schema with the configuration.
CLICKHOUSE_TIMEOUT: ClickHouse failed [159]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: timeout exceeded; the
    statement may go on in the background: Received ClickHouse exception, code: 159, server response: Code: 159.
    DB::Exception: Timeout exceeded: elapsed 1001.888 ms, maximum: 1000.000 ms. (TIMEOUT_EXCEEDED) (version 26.9.2.1
    (official build)) (for url http://127.0.0.1:24673). Next: run it again; it continues or does nothing twice.
CLICKHOUSE_MEMORY: ClickHouse failed [241]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: memory limit exceeded: a
    smaller batch may pass: Received ClickHouse exception, code: 241, server response: Code: 241. DB::Exception: Query
    memory limit exceeded: would use 12.06 MiB (attempt to allocate chunk of 8.00 MiB), maximum: 9.54 MiB: While
    executing AggregatingTransform. (MEMORY_LIMIT_EXCEEDED) (version 26.9.2.1 (official build)) (for url
    http://127.0.0.1:24673). Next: run it again; it continues or does nothing twice.
FAILS_AGAIN: ClickHouse failed [62]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: syntax error: Received
    ClickHouse exception, code: 62, server response: Code: 62. DB::Exception: Syntax error: failed at position 1
    (SELEC): SELEC 1. Maybe you meant: SELECT. Expected one of: Query, Query with output, EXPLAIN, SELECT query,
    possibly with UNION, list of union elements, SELECT query, subquery, possibly with UNION, SELECT or EXPLAIN
    subquery, SELECT query, WITH, FROM, SELECT, SHOW CREATE QUOTA query, SHOW CREATE, SHOW [FULL] [TEMPORARY]
    TABLES|DATABASES|CLUSTERS|CLUSTER|MERGES 'name' [[NOT] [I]L. Next: read the message; rerunning changes nothing
    before its cause is gone.
NOT_PERMITTED: ClickHouse failed [497]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: not enough privileges:
    Received ClickHouse exception, code: 497, server response: Code: 497. DB::Exception: default: Not enough
    privileges. To execute this query, it's necessary to have the grant CREATE USER ON stranger. (ACCESS_DENIED)
    (version 26.9.2.1 (official build)) (for url http://127.0.0.1:24673). Next: read the message; rerunning changes
    nothing before its cause is gone.
TOO_MANY_PARTS: ClickHouse failed [252]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: too many parts: merges must
    catch up: Received ClickHouse exception, code: 252, server response: Code: 252. DB::Exception: Too many parts (2
    with average size of 329.00 B) in table 'default.strewn (815f0e88-255c-4b1c-8d05-7a49564f3c28)'. Merges are
    processing significantly slower than inserts. (TOO_MANY_PARTS) (version 26.9.2.1 (official build)) (for url
    http://127.0.0.1:24673). Next: run it again; it continues or does nothing twice.
TOO_MANY_MUTATIONS: ClickHouse failed [692]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: too many mutations wait
    on the table: Received ClickHouse exception, code: 692, server response: Code: 692. DB::Exception: Too many
    unfinished mutations (2) in table default.strewn (7f0bbc13-4eb7-4fec-b8e5-9a919349b7c5). (TOO_MANY_MUTATIONS)
    (version 26.9.2.1 (official build)) (for url http://127.0.0.1:24673). Next: run it again; it continues or does
    nothing twice.
NOT_SUPPORTED: ClickHouse failed [344]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: not supported, such as a
    lightweight delete on a table with a projection: Received ClickHouse exception, code: 344, server response: Code:
    344. DB::Exception: DELETE query is not allowed for table default.strewn because as it has projections and setting
    lightweight_mutation_projection_mode is set to THROW. User should change lightweight_mutation_projection_mode OR
    drop all the projections manually before running the query. (SUPPORT_IS_DISABLED) (version 26.9.2.1 (official
    build)) (for url http://127.0.0.1:24673). Next: read the message; rerunning changes nothing before its cause is
    gone.
FAILS_AGAIN: ClickHouse failed [341]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: unfinished: accepted, an
    inactive replica has not done it: Received ClickHouse exception, code: 341, server response: Code: 341.
    DB::Exception: Exception happened during execution of mutation 'mutation_2.txt' with part 'all_1_1_0' reason:
    'Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero: while executing 'FUNCTION
    throwIf(equals(__table1.n, 1_UInt8) :: 3) -> throwIf(equals(__table1.n, 1_UInt8)) UInt8 : 1'.
    (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.9.2.1)'. This error maybe retryable or not. In case of
    unretryable error, m. Next: run it again; it continues or does nothing twice.
NO_RESOURCE: ClickHouse failed [243]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: not enough free disk: Received
    ClickHouse exception, code: 243, server response: Code: 243. DB::Exception: Could not perform insert. None of the
    disks in volume 'default' have enough free space to meet the configured threshold. The threshold can be configured
    either in MergeTree settings or User settings, using the following settings: (1)
    `min_free_disk_bytes_to_perform_insert` = 1000000000000000 (2) `min_free_disk_ratio_to_perform_insert` = 0.
    (NOT_ENOUGH_SPACE) (version 26.9.2.1 (official build)) (for url http://12. Next: run it again; it continues or
    does nothing twice.
QUERY_KILLED: ClickHouse failed [394]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: query was cancelled: Received
    ClickHouse exception, code: 394, server response: Code: 394. DB::Exception: Query was cancelled.
    (QUERY_WAS_CANCELLED) (version 26.9.2.1 (official build)) (for url http://127.0.0.1:24673). Next: read the
    message; rerunning changes nothing before its cause is gone.
QUERY_KILLED: ClickHouse failed [341]. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: unfinished: accepted, an
    inactive replica has not done it: Received ClickHouse exception, code: 341, server response: Code: 341.
    DB::Exception: Mutation mutation_2.txt was killed. (UNFINISHED) (version 26.9.2.1 (official build)) (for url
    http://127.0.0.1:24673). Next: run it again; it continues or does nothing twice.
UNKNOWN: The delete of conversation is not done. Where: ClickHouse shard 1 (127.0.0.1:24673), mutation mutation_2.txt.
    Why: Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero: while executing 'FUNCTION
    and(notEmpty(__table1.conversation_id) :: 3, equals(throwIf(equals(__table1.conversation_id, 'c1'_String)),
    0_UInt8) :: 4) -> and(notEmpty(__table1.conversation_id), equals(throwIf(equals(__table1.conversation_id,
    'c1'_String)... UInt8 : 2': While executing MergeTreeSelect(pool: ReadPoolInOrder, algorithm: InOrder).
    (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.9.2.1). Next: mend the cause and rerun the window; to give the
    mutation up: KILL MUTATION WHERE table = 'conversation' AND mutation_id = 'mutation_2.txt'.
TOO_MANY_MUTATIONS: 10 mutations wait on conversation; none was added. Where: ClickHouse shard 1 (127.0.0.1:24673).
    Why: no room within 0 s. Next: look at the rows of system.mutations with table = 'conversation' that are not done,
    then rerun.
DEADLINE: The delete of conversation is not done. Where: ClickHouse shard 1 (127.0.0.1:24673), mutation None. Why: not
    done within 0 s. Next: mend the cause and rerun the window; to give the mutation up: KILL MUTATION WHERE table =
    'conversation' AND mutation_id = 'None'.
UNREACHABLE: ClickHouse is away. Where: ClickHouse 127.0.0.1:9. Why: the server did not answer as ClickHouse does:
    Error HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded with url:
    /?query_id=ec50e9d3-7cf4-4fa7-97e3-2885226151a7 (Caused by NewConnectionError("HTTPConnection(host='127.0.0.1',
    port=9): Failed to establish a new connection: [Errno 111] Connection refused")) executing HTTP request attempt 1
    (http://127.0.0.1:9). Next: check that ClickHouse runs there and that the address is right, then rerun.
UNREACHABLE: ClickHouse is away. Where: ClickHouse no-such-host.invalid:24673. Why: the server did not answer as
    ClickHouse does: Error HTTPConnectionPool(host='no-such-host.invalid', port=24673): Max retries exceeded with url:
    /?query_id=9133d3a4-7f48-4a4d-9cb3-88d178800325 (Caused by
    NameResolutionError("HTTPConnection(host='no-such-host.invalid', port=24673): Failed to resolve
    'no-such-host.invalid' ([Errno -2] Name or service not known)")) executing HTTP request attempt 1
    (http://no-such-host.invalid:24673). Next: check that ClickHouse runs there and that the address is right, then
    rerun.
CLICKHOUSE_TIMEOUT: ClickHouse is away. Where: ClickHouse shard 1 (127.0.0.1:24673). Why: the server did not answer as
    ClickHouse does: Error HTTPConnectionPool(host='127.0.0.1', port=24673): Read timed out. (read timeout=1)
    executing HTTP request attempt 1 (http://127.0.0.1:24673). Next: check that ClickHouse runs there and that the
    address is right, then rerun.
QUERY_KILLED: The delete of conversation is not done. Where: ClickHouse shard 1 (127.0.0.1:21204), mutation
    mutation_2.txt. Why: it is listed no longer and rows are left: killed?. Next: mend the cause and rerun the window;
    to give the mutation up: KILL MUTATION WHERE table = 'conversation' AND mutation_id = 'mutation_2.txt'.
UNREACHABLE: ClickHouse failed [519]. Where: ClickHouse shard 1 (127.0.0.1:26827). Why: no shard can be reached:
    Received ClickHouse exception, code: 519, server response: Code: 519. DB::NetException: All attempts to get table
    structure failed. Log: Code: 279. DB::NetException: All connection tries failed. Log: Code: 198. DB::NetException:
    Not found address of host: no-such-host.invalid: (no-such-host.invalid:9000). (DNS_ERROR) (version 26.9.2.1) Code:
    198. DB::NetException: Not found address of host: no-such-host.invalid: (no-such-host.invalid:9000). (DNS_ERROR)
    (version 26.9.2.1) Code: 198. DB::NetExcept. Next: run it again; it continues or does nothing twice.
NOT_PERMITTED: ClickHouse failed [164]. Where: ClickHouse shard 1 (127.0.0.1:26827). Why: the user may only read:
    Received ClickHouse exception, code: 164, server response: Code: 164. DB::Exception: default: Cannot execute query
    in readonly mode. (READONLY) (version 26.9.2.1 (official build)) (for url http://127.0.0.1:26827). Next: read the
    message; rerunning changes nothing before its cause is gone.
UNKNOWN: ClickHouse failed [1000]. Where: ClickHouse shard 1 (127.0.0.1:26827). Why: not in our table of codes: Received
    ClickHouse exception, code: 1000, server response: Code: 1000. DB::Exception: I/O error: Permission denied.
    (POCO_EXCEPTION) (version 26.9.2.1 (official build)) (for url http://127.0.0.1:26827). Next: read the message;
    rerunning changes nothing before its cause is gone.
""",
    "the source of ClickHouse's StorageReplicatedMergeTree and MergeTask: they need a replica, or a server that stops": """
CLICKHOUSE_STOPPING: Code: 236. DB::Exception: Cancelled mutating parts. (ABORTED)
UNFINISHED_REPLICA: Code: 341. DB::Exception: Mutation is not finished because some replicas are inactive right now: r2.
    Mutation will be done asynchronously. (UNFINISHED)
UNFINISHED_REPLICA: Code: 242. DB::Exception: Table is in readonly mode (replica path:
    /clickhouse/tables/01/score/replicas/r1). (TABLE_IS_READ_ONLY)
""",
    "the source of ClickHouse's ReplicatedMergeTreeSink, Coordination::Exception, ThreadPool, IStorage, PoolBase and Poco": """
KEEPER: Code: 999. Coordination::Exception: Session expired. (KEEPER_EXCEPTION)
KEEPER: Code: 999. Coordination::Exception: Coordination error: Connection loss, path /clickhouse/tables/01/score.
    (KEEPER_EXCEPTION)
KEEPER: ClickHouse failed [999]. Where: ClickHouse shard 1 (ch-1:8123). Why: Keeper is away or its session is over:
    Received ClickHouse exception, code: 999, server response: Code: 999. Coordination::Exception: Coordination error:
    Operation timeout. (KEEPER_EXCEPTION). Next: run it again; it continues or does nothing twice.
KEEPER: insert: code: 999, message: Session expired
KEEPER: Code: 225. DB::Exception: Can't get ZooKeeper session. (NO_ZOOKEEPER)
CONNECTION_LOST: Code: 319. DB::Exception: Unknown status, client must retry. Reason: Code: 999.
    Coordination::Exception: Operation timeout. (KEEPER_EXCEPTION). (UNKNOWN_STATUS_OF_INSERT)
CONNECTION_LOST: Code: 244. DB::Exception: Insert failed due to zookeeper error. Please retry. Reason: Connection loss.
    (UNEXPECTED_ZOOKEEPER_ERROR)
UNFINISHED_REPLICA: Code: 285. DB::Exception: Number of alive replicas (1) is less than requested quorum (2/2).
    (TOO_FEW_LIVE_REPLICAS)
UNFINISHED_REPLICA: Code: 286. DB::Exception: Quorum for previous write has not been satisfied yet. Status: version: 1.
    (UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE)
UNFINISHED_REPLICA: Code: 517. DB::Exception: Metadata on replica is not up to date with common metadata in Zookeeper. It
    means that this replica still not applied some of previous alters. (CANNOT_ASSIGN_ALTER)
UNREACHABLE: Code: 279. DB::NetException: All connection tries failed. Log: Code: 209. DB::NetException: Timeout: connect
    timed out: 10.0.0.9:9000 (ch-2:9000). (SOCKET_TIMEOUT) (ALL_CONNECTION_TRIES_FAILED)
UNREACHABLE: Code: 198. DB::NetException: Not found address of host: ch-2. (DNS_ERROR)
OVERLOADED: Code: 745. DB::Exception: CPU is overloaded, CPU is waiting for execution way more than executing, ratio of wait
    time (OSCPUWaitMicroseconds metric) to busy time (OSCPUVirtualTimeMicroseconds metric) is 9. (SERVER_OVERLOADED)
OVERLOADED: Code: 439. DB::Exception: Cannot schedule a task: no free thread (timeout=0) (threads=15000, jobs=15000).
    (CANNOT_SCHEDULE_TASK)
LOCK_TIMEOUT: Code: 473. DB::Exception: WRITE locking attempt on "default.score" has timed out! (120000ms) Possible deadlock
    avoided. Client should retry. (DEADLOCK_AVOIDED)
CONNECTION_LOST: Code: 32. DB::Exception: Attempt to read after eof. (ATTEMPT_TO_READ_AFTER_EOF)
CONNECTION_LOST: Poco::Exception. Code: 1000, e.code() = 111, Connection refused (version 24.4.1.2088 (official build))
CONNECTION_LOST: Poco::Exception. Code: 1000, e.code() = 0, e.displayText() = Host not found: ch-2
UNKNOWN: std::exception. Code: 1001, type: std::__1::system_error, e.what() = Resource temporarily unavailable
""",
}
