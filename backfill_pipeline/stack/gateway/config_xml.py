"""The engine's configuration file: what makes an embedded engine look like shard N of the cluster `conversations`."""

from pathlib import Path
from xml.sax.saxutils import escape

CLUSTER = "conversations"

# tcp_port is never listened on: without it system.clusters.is_local is 0, and Distributed would dial a socket.
_TEMPLATE = """<clickhouse>
  <tcp_port>9000</tcp_port>
  <display_name>{name}</display_name>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <macros>
    <cluster>{cluster}</cluster>
    <shard>{shard}</shard>
    <replica>{name}-replica-1</replica>
  </macros>
  <remote_servers>
    <{cluster}>
      <shard>
        <internal_replication>true</internal_replication>
        <replica><host>localhost</host><port>9000</port></replica>
      </shard>
    </{cluster}>
  </remote_servers>
  <merge_tree>
    <non_replicated_deduplication_window>1000</non_replicated_deduplication_window>
  </merge_tree>
  <query_log>
    <database>system</database><table>query_log</table>
  </query_log>
  <part_log>
    <database>system</database><table>part_log</table>
  </part_log>
</clickhouse>
"""


def server_name(shard: int) -> str:
    """As `displayName()` and the response headers give it."""
    return f"shard-{shard}"


def write_config(directory: Path, shard: int, max_memory: int) -> Path:
    """Written anew at every start, as the engine reads it only then; 0 leaves the memory to the engine's own ratio."""
    text = _TEMPLATE.format(cluster=CLUSTER, shard=shard, memory=max_memory, name=escape(server_name(shard)))
    path = directory / "engine.xml"
    path.write_text(text)
    return path
