"""`python -m backfill_pipeline.stack.kubernetes.node --kubeconfig FILE --folder FOLDER --image NAME --image-path PATH`."""

import argparse
import signal
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from kubernetes import config

from backfill_pipeline.stack.kubernetes.access import write_private
from backfill_pipeline.stack.kubernetes.node.node import Node
from backfill_pipeline.stack.kubernetes.node.pod import Site
from backfill_pipeline.stack.ports import LOOPBACK
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
        node.register(*_certificate(given.folder, given.name))
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


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Its own; the API server does not check a kubelet's unless told to."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    write_private(folder / "node.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    write_private(folder / "node.crt", built.public_bytes(pem))
    return folder / "node.crt", folder / "node.key"


if __name__ == "__main__":
    main()
