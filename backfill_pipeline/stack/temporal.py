"""Temporal's dev server, and the ways in which its program is found."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backfill_pipeline.clients.loopback import LOOPBACK
from backfill_pipeline.domain.contracts import NAMESPACE
from backfill_pipeline.domain.errors import Kind, PipelineError
from backfill_pipeline.stack.probes import Answers
from backfill_pipeline.stack.processes import PROJECT, Process

PROGRAM = "temporal"
MODULE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"  # the last tag that `go install` takes (no replace directive)
BINARIES = PROJECT / ".local" / "bin"
DOWNLOAD_SECONDS = 120
INSTALL_SECONDS = 20 * 60

Say = Callable[[str], None]

# Starts the SDK's server once, only for its downloader; what it downloads stays in the folder.
_SDK_DOWNLOAD = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment

async def main():
    async with await WorkflowEnvironment.start_local(download_dest_dir=sys.argv[1]):
        pass

asyncio.run(main())
"""


@dataclass(frozen=True)
class Finder:
    """Finds the program in the order: PATH, made earlier, the SDK's download, `go install`.

    binaries: folder where a download or a build is kept for the next time.
    path: the PATH to search; None: the environment's.
    """

    say: Say
    binaries: Path = BINARIES
    path: str | None = None
    download_seconds: float = DOWNLOAD_SECONDS
    install_seconds: float = INSTALL_SECONDS

    def find(self) -> Path:
        """The program.

        Raises:
            PipelineError: none of the ways gave it; says what each one answered.
        """
        answers = []
        for way in (self.on_path, self.made_earlier, self.downloaded_by_the_sdk, self.built_by_go):
            found = way()
            if isinstance(found, Path):
                return found
            answers.append(found)
        raise _not_found(answers)

    def on_path(self) -> Path | str:
        found = shutil.which(PROGRAM, path=self.path)
        return Path(found) if found else f"no `{PROGRAM}` on PATH"

    def made_earlier(self) -> Path | str:
        return self._kept if os.access(self._kept, os.X_OK) else "none made earlier in .local/bin"

    def downloaded_by_the_sdk(self) -> Path | str:
        self.binaries.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.binaries) as folder:
            command = [sys.executable, "-c", _SDK_DOWNLOAD, folder]
            failure = _run(command, self.download_seconds, os.environ)
            files = [f for f in Path(folder).rglob(f"{PROGRAM}*") if f.is_file() and os.access(f, os.X_OK)]
            if not files:
                return f"the SDK's download failed ({failure or 'it left no program'})"
            return files[0].rename(self._kept)

    def built_by_go(self) -> Path | str:
        go = shutil.which("go", path=self.path)
        if go is None:
            return "no `go` on PATH to build it with"
        self.say(f"Building Temporal's dev server into {self.binaries}: this takes minutes, once")
        self.binaries.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.binaries) as folder:  # a build that was cut short leaves no program
            failure = _run([go, "install", MODULE], self.install_seconds, {**os.environ, "GOBIN": folder})
            built = Path(folder) / PROGRAM
            return f"`go install {MODULE}` failed ({failure})" if failure else built.rename(self._kept)

    @property
    def _kept(self) -> Path:
        return self.binaries / PROGRAM


def find_temporal(say: Say) -> Path:
    """The dev server's program for this project; may take minutes once (see `Finder`)."""
    return Finder(say).find()


def dev_server(name: str, program: Path, database: Path, port: int, ui_port: int, log: Path) -> Process:
    """A dev server whose namespace answers when it is ready; `database` is its SQLite file."""
    options = {"--namespace": NAMESPACE, "--db-filename": database, "--port": port, "--ui-port": ui_port}
    return Process(
        name=name,
        command=(
            *(str(program), "server", "start-dev", "--ip", LOOPBACK, "--log-level", "warn"),
            *(str(part) for option in options.items() for part in option),
        ),
        log=log,
        ready=Answers(f"http://{LOOPBACK}:{ui_port}/api/v1/namespaces/{NAMESPACE}"),
    )


def _run(command: list[str], seconds: float, env: dict[str, str] | os._Environ[str]) -> str:
    """Empty if it went well, else its last line."""
    with tempfile.TemporaryFile("w+") as output:
        try:
            subprocess.run(
                command, check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=seconds, env=env
            )
        except subprocess.TimeoutExpired:
            return f"not done after {seconds:g} s"
        except (subprocess.CalledProcessError, OSError) as error:
            output.seek(0)
            return (output.read().strip().splitlines() or [str(error)])[-1][:300]
    return ""


def _not_found(answers: list[str]) -> PipelineError:
    return PipelineError(
        "Temporal's dev server was not found",
        where=f"PATH, {BINARIES}, temporal.download, {MODULE}",
        why="; ".join(answers),
        next_step=(
            "take one of the four ways: give `temporal: {address: ...}` for each cluster in the configuration; "
            "put `temporal` (github.com/temporalio/cli) on PATH or into .local/bin; "
            "allow the SDK's download from temporal.download; "
            f"or install Go and run `go install {MODULE}`"
        ),
        kind=Kind.MISSING,
    )


if __name__ == "__main__":
    print(f"Temporal: {find_temporal(print)}")
