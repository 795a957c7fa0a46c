"""How a cluster is reached: a kubeconfig file and certificates, written so that nobody else reads token and keys."""

import json
import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from backfill_pipeline.clients.loopback import LOOPBACK

VALID = timedelta(days=365)
CONTEXT = "stack"


def write_kubeconfig(path: Path, server: str, authority: Path, token: str, namespace: str = "default") -> None:
    """A file with one context, named `CONTEXT`; JSON is YAML."""
    tree = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [
            {"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}},
        ],
    }
    write_private(path, json.dumps(tree, indent=1).encode())


def write_certificate(at: Path, name: str) -> tuple[Path, Path]:
    """Its own authority, for either end of a connection on loopback; the paths of certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    certificate, private = at.with_suffix(".crt"), at.with_suffix(".key")
    write_private(private, key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    write_private(certificate, built.public_bytes(pem))
    return certificate, private


def write_private(path: Path, content: bytes) -> None:
    """Mode 0600 from its first byte, and in one step: a start that was killed leaves no half of it."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
    fresh.rename(path)
