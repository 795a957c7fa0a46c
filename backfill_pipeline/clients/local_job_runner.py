"""Runs one local Job: `python -I -S local_job_runner.py FOLDER PYTHON`. Standard library only; a file, not a module.

The lock is inherited by the command, so that a Job whose runner was killed still counts as running while it works.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: Path, python: str) -> int:
    signal.signal(signal.SIGTERM, lambda *_: None)  # the command ends by it; this process stays to write its exit code
    lock = (folder / "lock").open("ab")
    if not locked(lock.fileno()):
        return 0  # another runner has it
    if (folder / "pid").exists() or (folder / "exit_code").exists():
        return 0  # it ran before; backoffLimit is 0
    return run(folder, python, lock.fileno())


def locked(lock: int) -> bool:
    """Tries for a second: whoever asks for the Job's state holds the lock for an instant."""
    for _ in range(50):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


def run(folder: Path, python: str, lock: int) -> int:
    spec = json.loads((folder / "spec.json").read_text())
    (folder / "pid").write_text(str(os.getpid()))  # also the id of the process group: a session of its own
    command = [python if part == "python" else part for part in spec["command"]]
    with (folder / "log").open("ab") as log:
        code = wait(command, {**os.environ, **spec["env"]}, log, lock, spec["deadline_seconds"])
    partial = folder / ".exit_code"
    partial.write_text(str(code))
    partial.rename(folder / "exit_code")
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # like a pod, a Job ends with its command: nothing that it started goes on
    return 0


def wait(command: list[str], env: dict[str, str], log: Any, lock: int, deadline_seconds: float) -> int:
    try:
        child = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT, pass_fds=[lock])
    except OSError as error:
        log.write(f"the command could not be started: {error}\n".encode())
        return 127
    try:
        code = child.wait(deadline_seconds)
    except subprocess.TimeoutExpired:
        log.write(f"ended: still running after its deadline of {deadline_seconds} s\n".encode())
        child.kill()
        code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
