"""`python login_plugin.py SECONDS COMMAND ...`: a login plugin that is ended when it does not answer. Standard library only.

Its answer is handed on when it is whole: what a plugin started and left behind can't keep whoever reads it waiting.
What it writes to stderr is for a terminal only: it may hold secrets, and whoever reads it here makes an error of it.
"""

import os
import signal
import subprocess
import sys

SILENT = 124
NOT_STARTED = 127


def main(seconds: str, *command: str) -> int:
    is_watched = sys.stderr.isatty()  # somebody may have to read what it asks, and to answer
    errors = None if is_watched else subprocess.DEVNULL
    try:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=not is_watched)
    except OSError as error:
        print(error, file=sys.stderr)
        return NOT_STARTED
    try:
        answer, _ = child.communicate(timeout=float(seconds))
    except subprocess.TimeoutExpired:
        child.kill() if is_watched else os.killpg(child.pid, signal.SIGKILL)
        print(f"the plugin {command[0]} did not answer within {seconds} s", file=sys.stderr)
        return SILENT
    sys.stdout.buffer.write(answer)
    if child.returncode:
        print(f"the plugin {command[0]} ended with {child.returncode}", file=sys.stderr)
    return child.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
