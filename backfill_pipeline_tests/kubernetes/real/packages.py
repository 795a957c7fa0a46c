"""containerd, runc, CNI plugins and a static busybox: Debian's packages, unpacked into the cache and not installed."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from backfill_pipeline.stack.kubernetes.kubebox import cache_folder
from backfill_pipeline_tests.kubernetes.real.cannot import NoNode

PACKAGES = ("containerd", "runc", "containernetworking-plugins", "busybox-static")
DOWNLOAD_SECONDS = 300


def unpacked() -> Path:
    """The root of a file system that holds them; apt decides which version, and a new one is a new folder."""
    folder = cache_folder() / f"node-{_versions()}"
    if not folder.exists():
        print(f"Downloading {', '.join(PACKAGES)} into {folder}")
        _download(folder)
    return folder


def _versions() -> str:
    listed = _said("apt-get", "download", "--print-uris", *PACKAGES)
    named = sorted(line.split(" ", 1)[1] for line in listed.splitlines() if line.startswith("'"))
    if len(named) != len(PACKAGES):
        raise NoNode(f"apt knows not all of {', '.join(PACKAGES)}", "apt-get update")
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:16]


def _download(folder: Path) -> None:
    """Made beside its place and moved there: a download that was cut short leaves nothing that looks whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        root = Path(fresh) / "root"
        _said("apt-get", "download", *PACKAGES, folder=fresh)
        for package in Path(fresh).glob("*.deb"):
            _said("dpkg-deb", "--extract", str(package), str(root))
        shutil.rmtree(folder, ignore_errors=True)
        root.rename(folder)


def _said(*command: str, folder: str | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoNode(str(error), "run it on Debian 12 with its package mirror within reach") from None
    if done.returncode:
        raise NoNode(f"{' '.join(command)}: {done.stderr.strip()[-600:]}", "apt-get update, or look at apt's settings")
    return done.stdout
