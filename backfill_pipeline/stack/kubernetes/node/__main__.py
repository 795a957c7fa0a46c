"""`python -m backfill_pipeline.stack.kubernetes.node --kubeconfig FILE --folder FOLDER --image NAME --image-path PATH`."""

import argparse
import signal
import sys
from pathlib import Path

from kubernetes import config

from backfill_pipeline.stack.kubernetes.access import write_certificate
from backfill_pipeline.stack.kubernetes.node.node import Node
from backfill_pipeline.stack.kubernetes.node.pod import Site
from backfill_pipeline.stack.processes import PROJECT

READY = "node is ready"


def main() -> None:
    given = _arguments()
    config.load_kube_config(str(given.kubeconfig))
    given.folder.mkdir(parents=True, exist_ok=True)
    image = {"PATH": given.image_path, "PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    node = Node(Site(given.name, given.folder.resolve(), {given.image: image}))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        node.register(*write_certificate(given.folder / "node", given.name))
        print(READY, flush=True)
        node.work()
    finally:
        node.end()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="node", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="keeps the pods' logs")
    parser.add_argument("--image", required=True, help="the only one that can be pulled")
    parser.add_argument("--image-path", required=True, help="the PATH that it sets")
    parser.add_argument("--name", default="processes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
