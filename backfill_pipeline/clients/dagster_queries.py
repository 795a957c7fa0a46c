"""GraphQL as Dagster's own pages send it (1.13)."""

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""
REEXECUTE = """
mutation Reexecute($params: ReexecutionParams!) {
  reexecutePartitionBackfill(reexecutionParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on Error { message }
  }
}
"""
BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    __typename
    ... on PartitionBackfill { id status error { message } runs { id status } }
    ... on Error { message }
  }
}
"""
BACKFILLS = """
query Backfills($limit: Int!) {
  partitionBackfillsOrError(filters: {statuses: [REQUESTED, CANCELING, FAILING]}, limit: $limit) {
    __typename
    ... on PartitionBackfills { results {
      id status title timestamp assetSelection { path }
      runs(limit: 1) { assetSelection { path } }
      assetBackfillData { rootTargetedPartitions { partitionKeys ranges { start end } } }
    } }
    ... on Error { message }
  }
}
"""
RUNS = """
query Runs($filter: RunsFilter!, $cursor: String, $limit: Int!) {
  runsOrError(filter: $filter, cursor: $cursor, limit: $limit) {
    __typename
    ... on Runs { results { id status assetSelection { path } tags { key value } startTime } }
    ... on Error { message }
  }
}
"""
REPOSITORIES = """
query Repositories {
  repositoriesOrError {
    __typename
    ... on RepositoryConnection { nodes { name location { name } sensors { name } } }
    ... on Error { message }
  }
}
"""
SENSOR = """
query Sensor($selector: SensorSelector!, $limit: Int!) {
  sensorOrError(sensorSelector: $selector) {
    __typename
    ... on Sensor {
      sensorState { status ticks(limit: $limit) { status timestamp error { message causes { message } } } }
    }
    ... on Error { message }
  }
}
"""
TERMINATE = """
mutation Terminate($ids: [String!]!) {
  terminateRuns(runIds: $ids, terminatePolicy: SAFE_TERMINATE) {
    __typename
    ... on TerminateRunsResult {
      terminateRunResults {
        __typename
        ... on TerminateRunFailure { message }
        ... on Error { message }
      }
    }
    ... on Error { message }
  }
}
"""
CANCEL = """
mutation Cancel($id: String!) {
  cancelPartitionBackfill(backfillId: $id) {
    __typename
    ... on Error { message }
  }
}
"""
SET_POOL = (
    "mutation SetPool($pool: String!, $limit: Int!) { setConcurrencyLimit(concurrencyKey: $pool, limit: $limit) }"
)


def targeted(assets: int) -> str:
    """The days that a backfill (`$id`) has of so many assets (`$k0` and on), as `a0` and on: Dagster tells one at a time."""
    variables = "".join(f", $k{n}: AssetKeyInput" for n in range(assets))
    fields = " ".join(f"a{n}: partitionsTargetedForAssetKey(assetKey: $k{n}) {{ ...Days }}" for n in range(assets))
    return f"""
query Targeted($id: String!{variables}) {{
  partitionBackfillOrError(backfillId: $id) {{
    __typename
    ... on PartitionBackfill {{ {fields} }}
    ... on PythonError {{ message }}
  }}
}}
fragment Days on AssetBackfillTargetPartitions {{ partitionKeys ranges {{ start end }} }}
"""
