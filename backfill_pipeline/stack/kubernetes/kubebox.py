"""Kubernetes' programs, built once from Go modules into a cache outside the project: `python -m ...stack.kubernetes.kubebox`."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from backfill_pipeline.domain.errors import Kind, PipelineError

SOURCE = Path(__file__).with_name("kubebox")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
CACHE = "backfill-pipeline"
BUILD_SECONDS = 30 * 60
VERSION = "k8s.io/component-base/version"

Say = Callable[[str], None]


def kubebox(say: Say) -> Path:
    """The folder that holds a link for each of `PROGRAMS`; builds them if this source was not built by this Go before.

    Raises:
        PipelineError: there is no Go, or the build failed.
    """
    go = shutil.which("go")
    if go is None:
        raise _not_built("there is no `go` on PATH", "install Go 1.26 or newer")
    folder = cache_folder() / f"kubebox-{_digest(go)}"
    if not all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
        say(f"Building Kubernetes into {folder}: this takes minutes, once")
        _build(go, folder)
    return folder


def cache_folder() -> Path:
    """What is built or downloaded once for all work trees."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / CACHE


def _digest(go: str) -> str:
    """Of what goes into the build; two builds of the same differ by themselves."""
    digest = hashlib.sha256(_output([go, "env", "GOVERSION", "GOOS", "GOARCH"]).encode())
    for file in sorted(SOURCE.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _build(go: str, folder: Path) -> None:
    """Made beside its place and moved there: a build that was cut short leaves nothing that looks whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as fresh:
        built = Path(fresh) / "bin"
        command = [go, "build", "-trimpath", "-ldflags", _ldflags(), "-o", str(built / "kubebox"), "."]
        _output(command, seconds=BUILD_SECONDS)
        for name in PROGRAMS:
            (built / name).symlink_to("kubebox")
        shutil.rmtree(folder, ignore_errors=True)
        built.rename(folder)


def _ldflags() -> str:
    """Without these /version tells a template's placeholder, which clients can't read."""
    found = re.search(r"k8s\.io/kubernetes (v1\.(\d+)\.\d+)", (SOURCE / "go.mod").read_text())
    assert found, "go.mod names Kubernetes' version"
    values = {"gitVersion": found[1], "gitMajor": "1", "gitMinor": found[2], "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {VERSION}.{k}={v}" for k, v in values.items())])


def _output(command: list[str], *, seconds: float = 60) -> str:
    try:
        done = subprocess.run(
            command, cwd=SOURCE, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_built(str(error), "look whether Go works here, then try again") from None
    if done.returncode:
        raise _not_built(done.stderr.strip()[-600:], "read Go's message; the module proxy must be within reach")
    return done.stdout


def _not_built(why: str, next_step: str) -> PipelineError:
    return PipelineError(
        "Kubernetes' programs can't be built", where=str(SOURCE), why=why, next_step=next_step, kind=Kind.MISSING
    )


if __name__ == "__main__":
    print(f"Kubernetes: {kubebox(print)}")
