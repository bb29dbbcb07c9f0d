"""gcloud without its start: a process that has read gcloud's code, and forks for each command.

Run by gcloud's own Python (`serve`), and by whoever calls gcloud (`call`). What runs is gcloud
itself, with the arguments, the environment, the folder and the files of its caller. Only the
reading of its modules, most of the second that a command takes, is done once. A child says which
modules it needed, and they are read before the next one."""

from __future__ import annotations

import array
import contextlib
import importlib
import json
import os
import shlex
import socket
import sys
from typing import Any

NEEDED = (
    *("googlecloudsdk", "surface", "apitools", "requests", "urllib3", "google", "cryptography"),
    *("cloudsdk", "proto", "_strptime", "netrc"),
)


def serve(place: str, library: str) -> None:
    """Answer calls at a Unix socket until the caller of this process goes away.

    Each command line is kept in the file `calls` beside the socket, quoted for a shell.
    """
    calls = os.path.join(os.path.dirname(place), "calls")
    sys.path[:0] = [library, os.path.join(library, "third_party")]
    gcloud_main = importlib.import_module("googlecloudsdk.gcloud_main")

    server = socket.socket(socket.AF_UNIX)
    server.bind(place)
    server.listen()
    print("ready", flush=True)
    parent = os.getppid()
    while True:
        server.settimeout(5)
        try:
            connection, _ = server.accept()
        except TimeoutError:
            if os.getppid() != parent:
                return
            continue
        connection.settimeout(None)
        text, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        while not text.endswith(b"\n"):
            text += connection.recv(1 << 20)
        asked = json.loads(text)
        with open(calls, "a") as kept:
            kept.write(shlex.join(asked["arguments"]) + "\n")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            server.close()
            _child(gcloud_main, asked, files, write)
        os.close(write)
        for file in files:
            os.close(file)
        with os.fdopen(read) as needed:
            names = needed.read().split()
        _, status = os.waitpid(child, 0)
        connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
        connection.close()
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _child(gcloud_main: Any, asked: Any, files: list[int], write: int) -> None:
    before = set(sys.modules)
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = asked["arguments"]
        try:
            gcloud_main.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        sys.stdout.flush()
        sys.stderr.flush()
        needed = [name for name in set(sys.modules) - before if name.split(".")[0] in NEEDED]
        os.write(write, " ".join(sorted(needed)).encode())
    finally:
        os._exit(code)


def call(place: str, arguments: list[str]) -> int:
    """Have a command run; gives its exit code."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    asked = {
        "arguments": arguments,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    text = json.dumps(asked).encode() + b"\n"
    sent = connection.sendmsg(
        [text], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    )
    connection.sendall(text[sent:])
    return int(connection.recv(16) or b"1")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        sys.exit(call(sys.argv[2], sys.argv[3:]))
