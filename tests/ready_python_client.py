"""Stands in for `python`: hands its words to the server of `ready_python.py`, and ends as they end."""

import json
import os
import signal
import socket
import sys

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
socket.send_fds(connection, [b"-"], [0, 1, 2])
request = {"words": sys.argv[2:], "environment": dict(os.environ), "folder": os.getcwd()}
connection.sendall(json.dumps(request).encode() + b"\n")
for signum in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, lambda number, frame: connection.sendall(bytes([number])))
with connection.makefile("rb") as lines:
    code = int(lines.readline() or b"-9")
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
sys.exit(code)
