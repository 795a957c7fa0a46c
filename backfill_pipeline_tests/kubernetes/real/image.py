"""The only image that the node has: busybox, as an archive that containerd imports; it is the pause container too."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

# Nobody listens on that port: what was not imported can't be pulled, and nothing is asked of another machine.
REGISTRY = "127.0.0.1:1"
IMAGE = f"{REGISTRY}/busybox:1"
FOLDERS = ("bin", "dev", "etc", "proc", "sys", "tmp")


def write_image(busybox: Path, target: Path) -> None:
    layer = _layer(busybox)
    given = {"Env": ["PATH=/bin"], "Cmd": ["sleep", "infinity"]}
    layers = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    config = json.dumps({"architecture": _architecture(), "os": "linux", "config": given, "rootfs": layers}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as archive:
        for name, content in (("config.json", config), ("manifest.json", manifest), ("layer.tar", layer)):
            _add(archive, name, content)


def _layer(busybox: Path) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as layer:
        for name in FOLDERS:
            _add_kind(layer, name, tarfile.DIRTYPE)
        _add(layer, "bin/busybox", busybox.read_bytes())
        for name in _commands(busybox):
            _add_kind(layer, f"bin/{name}", tarfile.SYMTYPE, "busybox")
    return made.getvalue()


def _commands(busybox: Path) -> list[str]:
    done = subprocess.run([str(busybox), "--list"], capture_output=True, text=True, timeout=10, check=True)
    return [name for name in done.stdout.split() if name != "busybox"]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    archive.addfile(entry, io.BytesIO(content))


def _add_kind(archive: tarfile.TarFile, name: str, kind: bytes, target: str = "") -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname = kind, 0o755, target
    archive.addfile(entry)


def _architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
