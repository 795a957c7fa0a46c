"""`python -m backfill_pipeline.stack`: the stack in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import sys
from pathlib import Path

from backfill_pipeline.domain.errors import PipelineError
from backfill_pipeline.stack.addresses import print_addresses
from backfill_pipeline.stack.embedded_config import PARTS
from backfill_pipeline.stack.supervisor import DEFINITIONS, Stack


def main() -> None:
    arguments = _arguments()
    stack = Stack(
        arguments.folder,
        config=arguments.config,
        parts=arguments.parts.split(","),
        definitions=arguments.definitions,
        launcher=arguments.launcher,
    )
    try:
        stack.run_forever(print_addresses, lambda line: print(line, flush=True))
    except PipelineError as error:
        sys.exit(str(error))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m backfill_pipeline.stack", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".local"))
    parser.add_argument(
        "--config", type=Path, help="a configuration whose addresses are used instead of embedded parts"
    )
    parser.add_argument("--parts", default=",".join(sorted(PARTS)), help="comma-separated")
    parser.add_argument("--definitions", default=DEFINITIONS, help="module that Dagster loads")
    parser.add_argument("--launcher", choices=["local", "kubernetes"], default="local")
    return parser.parse_args()


if __name__ == "__main__":
    main()
