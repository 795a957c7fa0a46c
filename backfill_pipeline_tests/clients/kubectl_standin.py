"""Forwards TCP as `kubectl port-forward` does, and fails as it does. Standard library only; started by a test's `kubectl`.

What it does stands in the file that is given as --kubeconfig or by KUBECONFIG: {"to": port, "fails": text of an error,
"silent": true}.
SIGUSR1: the pod is gone, it says so and ends. SIGUSR2: as kubectl before 1.23, it listens on and closes what comes.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

deaf = threading.Event()


def main(arguments: list[str]) -> None:
    file = kubeconfig(arguments)
    orders = json.loads(file.read_text())
    with file.with_name("starts").open("a") as starts:
        starts.write(json.dumps({"at": time.time(), "pid": os.getpid(), "arguments": arguments}) + "\n")
    signal.signal(signal.SIGUSR1, lambda *_: fail("error: lost connection to pod"))
    signal.signal(signal.SIGUSR2, lambda *_: deaf.set())
    if orders.get("fails"):
        fail(orders["fails"])
    if orders.get("silent"):
        time.sleep(600)
    listen(arguments[arguments.index("--address") + 1], arguments[-1], orders["to"])


def kubeconfig(arguments: list[str]) -> Path:
    """As kubectl does: its own argument, else the first file there is of KUBECONFIG."""
    if "--kubeconfig" in arguments:
        return Path(arguments[arguments.index("--kubeconfig") + 1])
    return next(file for file in map(Path, os.environ["KUBECONFIG"].split(os.pathsep)) if file.exists())


def listen(host: str, ports: str, to: int) -> None:
    local, _, remote = ports.partition(":")
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, int(local)))
    except OSError as error:
        print(f"Unable to listen on port {local}: Listeners failed to create: {error}", file=sys.stderr)
        fail(f"error: unable to listen on any of the requested ports: [{{{local} {remote}}}]")
    server.listen()
    print(f"Forwarding from {host}:{local} -> {remote}", flush=True)
    while True:
        connection, _ = server.accept()
        print(f"Handling connection for {local}", flush=True)
        threading.Thread(target=connect, args=(connection, local, remote, to), daemon=True).start()


def connect(connection: socket.socket, local: str, remote: str, to: int) -> None:
    said = f"an error occurred forwarding {local} -> {remote}: error forwarding port {remote} to pod 0123abcd, uid : "
    if deaf.is_set():
        print(f"E0101 {said}No such container: 0123abcd", file=sys.stderr, flush=True)
        connection.close()
        return
    try:
        far = socket.create_connection(("127.0.0.1", to))
    except OSError as error:
        connection.close()
        print(f"E0101 {said}exit status 1: {error}", file=sys.stderr, flush=True)
        fail("error: lost connection to pod")
    threading.Thread(target=copy, args=(far, connection), daemon=True).start()
    copy(connection, far)


def copy(one: socket.socket, other: socket.socket) -> None:
    try:
        while part := one.recv(65536):
            other.sendall(part)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def fail(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
