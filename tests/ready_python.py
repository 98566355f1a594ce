"""A `python` that has imported everything: processes of tests start in a tenth of a second instead of eight.

`serve` imports TensorFlow, Keras and this package, touches no device, and then forks for every command that
`ready_python_client.py` hands on: with that client's arguments, environment, folder and files. Signals are
passed on, the exit code comes back, and a client that is killed takes its process with it.
"""

import atexit
import contextlib
import importlib
import json
import os
import pathlib
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback

CLIENT = pathlib.Path(__file__).with_name("ready_python_client.py")
IMPORTED = (
    "keras_tuner",
    "matplotlib.pyplot",
    "scipy.optimize",
    "sklearn.metrics",
    "tl_toolkit.cli.app",
    "tl_toolkit.experiments.compare",
    "tl_toolkit.experiments.run",
    "tl_toolkit.tuning.search",
    "tl_toolkit.tuning.workers",
)


@contextlib.contextmanager
def ready_python(folder):
    """Starts the server, and yields the path of an executable that stands in for `python`."""
    executable, place = folder / "python", folder / "socket"
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{CLIENT}" "{place}" "$@"\n')
    executable.chmod(0o755)
    paths = [str(CLIENT.parent), str(CLIENT.parents[1]), os.environ.get("PYTHONPATH", "")]
    server = subprocess.Popen(
        [sys.executable, __file__, str(place), str(executable)],
        env={
            "TF_CPP_MIN_LOG_LEVEL": "2",
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert server.stdout.readline() == b"ready\n"
        yield executable
    finally:
        server.stdin.close()  # it ends with that, even when this process is killed
        server.wait()


def serve(place, executable):
    """Forks for every connection until standard input ends; returns in the forks, with what they shall run."""
    for name in IMPORTED:
        importlib.import_module(name)
    from tensorflow.python.eager import context

    assert context._context is None or context._context._context_handle is None, (
        "devices are in use"
    )
    sys.executable = executable
    signal.signal(signal.SIGCHLD, _reap)  # and not ignored: their processor time counts
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        print("ready", flush=True)
        while True:
            readable, _, _ = select.select([listener, 0], [], [])
            if 0 in readable:
                return None
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                return _begin(connection)
            connection.close()


def _reap(number, frame):
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _begin(connection):
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as lines:
        request = json.loads(lines.readline())
    child = os.fork()
    if child:
        _guard(child, connection)
    connection.close()
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the process's life
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return request["words"]


def _guard(child, connection):
    """Passes the client's signals to the child, and the child's end to the client."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            with contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        readable, _, _ = select.select([connection, ended], [], [])
        if ended in readable:
            os.read(ended, 100)
        if connection in readable:
            signals = connection.recv(1)
            os.kill(child, signals[0] if signals else signal.SIGKILL)
            if not signals:
                os.waitpid(child, 0)
                os._exit(0)


def run(words):
    """Does what `python WORDS` does, for a file, `-c` and `-m`."""
    if words[0] == "-I":
        words = words[1:]
    if words[0] == "-c":
        sys.argv, sys.path[:0] = ["-c", *words[2:]], [""]
        exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})
    elif words[0] == "-m":
        sys.argv, sys.path[:0] = words[1:], [""]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[:0] = words, [str(pathlib.Path(words[0]).parent)]
        runpy.run_path(words[0], run_name="__main__")


def end_of(words):
    """Runs the words as the interpreter would, and returns the exit code."""
    try:
        run(words)
    except SystemExit as error:
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
            return 1
        return error.code or 0
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    words = serve(*sys.argv[1:])
    if words is not None:
        code = end_of(words)
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # to take every module apart would last a second
