"""``charter`` in a process of its own, without the seconds that its imports take: one process imports them and forks another for each command.

    with Forked("charter.cli") as forked:
        done = forked.run("keys", "list", cwd=folder)   # a CompletedProcess

What the modules set up when they are imported is set up in the environment of ``Forked``; a command gets a folder, an environment and files of its
own, may be killed, and ends as an interpreter ends.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any


class Running:
    """A command that was begun. Its process leads a group of its own."""

    def __init__(self, forked: Forked, pid: int) -> None:
        self.pid, self._forked = pid, forked
        self._code: int | None = None

    def poll(self, wait_s: float = 0.0) -> int | None:
        """The exit code (-9 where it was killed), or None if it still runs after ``wait_s`` seconds."""
        if self._code is None:
            self._code = self._forked.ask(pid=self.pid, wait_s=wait_s)
        return self._code

    def wait(self, timeout: float) -> int:
        code = self.poll(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("charter", timeout)
        return code


class Forked:
    """Starts the process that imports ``modules``; leaving the ``with`` block ends it. One command is waited for at a time."""

    def __init__(self, *modules: str, **environment: str) -> None:
        self._modules, self._environment = modules, environment

    def __enter__(self) -> Forked:
        self._server = subprocess.Popen(
            [sys.executable, __file__, *self._modules],
            env={**os.environ, **self._environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._server.communicate(timeout=60)

    def ask(self, **what: Any) -> Any:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(what) + "\n")
        return json.loads(self._server.stdout.readline())

    def start(
        self, *words: object, cwd: Path, env: Mapping[str, str] | None = None, out: str | Path = os.devnull, err: str | Path = os.devnull
    ) -> Running:
        """Begin ``charter WORDS`` in the folder ``cwd``; ``env`` is its whole environment, if not this one's."""
        given = {**os.environ, **self._environment} if env is None else dict(env)
        return Running(self, self.ask(words=[str(word) for word in words], cwd=str(cwd), env=given, out=str(out), err=str(err)))

    def run(self, *words: object, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """The same to its end."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            running = self.start(*words, cwd=cwd, env=env, out=out, err=err)
            try:
                code = running.wait(timeout)
            except subprocess.TimeoutExpired:
                os.kill(running.pid, signal.SIGKILL)  # as subprocess.run does: what is late takes no time from other tests
                running.wait(60)
                raise
            return subprocess.CompletedProcess(list(words), code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def serve(said: IO[str]) -> dict[str, Any] | None:
    """Answer requests; returns None at their end, and in each process that is forked what it is to do."""
    while line := said.readline():
        what = json.loads(line)
        if "words" in what:
            pid = os.fork()
            if not pid:
                return dict(what)
            answer: int | None = pid
        else:
            answer = _ended(what["pid"], what["wait_s"])
        os.write(1, f"{json.dumps(answer)}\n".encode())
    return None


def _ended(pid: int, wait_s: float) -> int | None:
    end = time.monotonic() + wait_s
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            return None
        time.sleep(0.005)


def become(what: dict[str, Any]) -> None:
    """The folder, environment and files of a command."""
    os.setsid()
    os.chdir(what["cwd"])
    os.environ.clear()
    os.environ.update(what["env"])
    for number, name, flags in ((0, os.devnull, os.O_RDONLY), (1, what["out"], os.O_WRONLY | os.O_CREAT), (2, what["err"], os.O_WRONLY | os.O_CREAT)):
        opened = os.open(name, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["charter", *what["words"]]


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # this folder: no command has it
    for module in sys.argv[1:]:
        importlib.import_module(module)
    gc.freeze()  # what is there now is looked through by no process
    if (task := serve(sys.stdin)) is not None:
        become(task)
        importlib.import_module("charter.cli").main()
