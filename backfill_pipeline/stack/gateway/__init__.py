"""One shard's ClickHouse engine behind ClickHouse's HTTP interface: any number of processes may be its clients."""
