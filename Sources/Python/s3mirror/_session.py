"""The mirror's process, and the two pipes to it. The page SessionProtocol of the documentation has the messages.

One thread of this process reads and writes the pipes. Signals reach Python's main thread only, so a KeyboardInterrupt can
neither cut a request in half nor leave an answer unread.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import signal
import subprocess
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from s3mirror import _command, _errors
from s3mirror._errors import CommandError, MirrorError, SessionError, VersionError
from s3mirror._requests import Pending, line
from s3mirror._version import __version__

PROTOCOL = 1
OVER = "over"
"""The last event of every session. It is this package's own and not of the protocol."""
logger = logging.getLogger("s3mirror")

HELLO_SECONDS = 60.0
"""A command that has said nothing for this long is not the one that is meant. A cold start on a busy machine takes one."""
REAP_SECONDS = 10.0
"""A session whose pipes are closed has nothing left to do."""
CUT_SECONDS = 30.0
"""A session that was told to leave at once aborts its multipart uploads first."""


class Session:
    """A running `s3mirror session`. Every method may be called from any thread of the process that made it."""

    def __init__(self, on_event: Callable[[dict[str, Any]], None]) -> None:
        self.pid = os.getpid()
        self._on_event = on_event
        self._lock = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._last_id = 0
        self._hello = Pending("hello")
        self._outgoing: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._over: MirrorError | None = None
        self._is_ending = False
        self._is_released = False
        self._descriptors: set[int] = set()
        self._requests = self._answers = self._wake_reader = self._wake_writer = self._process_descriptor = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._serve, name="s3mirror-session", daemon=True)
        self.command = ""

    def start(self) -> None:
        """Starts the command. The caller already has the object, so an interrupt cannot lose the process.

        Raises `CommandError` if there is no command, `VersionError` for another version, `SessionError` if it ends at once.
        """
        self.command = _command.find()
        self._process = self._spawn()
        _sessions.add(self)
        self._thread.start()
        self._check_hello()

    def _spawn(self) -> subprocess.Popen[bytes]:
        reader, self._requests = self._pipe()
        self._answers, writer = self._pipe()
        self._wake_reader, self._wake_writer = self._pipe()
        for descriptor in (self._requests, self._wake_reader, self._wake_writer):
            os.set_blocking(descriptor, False)
        arguments = [self.command, "session", "--read-fd", str(reader), "--write-fd", str(writer)]
        try:
            process = subprocess.Popen(
                [*arguments, "--parent", str(self.pid)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(reader, writer),
                # Ctrl-C at the terminal must reach only this process, which then decides how the mirror ends.
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(f"{self.command} cannot be started: {error.strerror}") from error
        self._close(reader, writer)
        try:
            self._process_descriptor = os.pidfd_open(process.pid)
            self._descriptors.add(self._process_descriptor)
        except (OSError, AttributeError):
            # On an old kernel only the end of the answers shows the end of the process.
            self._process_descriptor = -1
        return process

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._descriptors.update(ends)
        return ends

    def _close(self, *descriptors: int) -> None:
        for descriptor in descriptors:
            if descriptor in self._descriptors:
                self._descriptors.discard(descriptor)
                os.close(descriptor)

    def _close_all(self) -> None:
        self._close(*tuple(self._descriptors))

    def _check_hello(self) -> None:
        if not self._hello.done.wait(HELLO_SECONDS):
            raise SessionError(f"{self.command} said nothing for {HELLO_SECONDS:.0f} s; it is no s3mirror")
        hello = self._hello.wait()
        if hello.get("protocol") != PROTOCOL or hello.get("version") != __version__:
            raise VersionError(
                f"{self.command} is s3mirror {hello.get('version')} (protocol {hello.get('protocol')}), and this package is "
                f"{__version__} (protocol {PROTOCOL}); install both in one version, or set {_command.VARIABLE}"
            )

    # Requests

    def send(self, name: str, members: Mapping[str, Any] | None = None) -> Pending:
        """Sends a request. The result can wait for the answer."""
        self.check_owner(name)
        pending = Pending(name)
        with self._lock:
            if self._over is not None:
                raise self._over
            self._last_id += 1
            request = line({"id": self._last_id, "request": name, **(members or {})})
            self._pending[self._last_id] = pending
        self._outgoing.put(request)
        self._wake()
        return pending

    def ask(self, name: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Sends a request and waits for its result. Raises the request's error."""
        return self.send(name, members).wait()

    def list(self, members: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The lines of a listing."""
        pending = self.send("ls", members)
        pending.wait()
        return [each for part in pending.parts for each in part["lines"]]

    def check_owner(self, name: str) -> None:
        """Raises in a forked process, which has the mirror's memory but not its thread."""
        if os.getpid() != self.pid:
            raise SessionError(
                f"{name}: this process is a fork of process {self.pid}, which entered the mirror; ask there, "
                "or enter a mirror here"
            )

    # The end

    def end(self, body: str) -> dict[str, Any]:
        """Ends the mirror and waits until the process is gone. Returns the report's fields.

        A KeyboardInterrupt during the wait interrupts the end; a second one kills the process.
        """
        try:
            self._is_ending = True
            pending = self.send("end", {"body": body})
            result = pending.wait()
            self._thread.join()
            return result
        except KeyboardInterrupt:
            self.cut()
            raise
        except BaseException:
            self.kill()
            raise

    def cut(self) -> None:
        """Makes the process abort its work and end, and waits for it. Kills the process if this takes long."""
        try:
            self._is_ending = True
            for name, members in (("abandon", {}), ("end", {"body": "threw"})):
                try:
                    self.send(name, members)
                except MirrorError:
                    # The process is already over.
                    break
            if self._thread.ident is not None:
                self._thread.join(CUT_SECONDS)
        finally:
            self.kill()

    def finish(self) -> None:
        """Ends a process that has nothing to publish, as after a failed entry."""
        self._is_ending = True
        self.release()
        try:
            if self._thread.ident is not None:
                self._thread.join(REAP_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        """Kills the process, whatever it is doing."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._thread.ident is not None:
            self._thread.join(REAP_SECONDS)
            return
        # There is no thread that would close the pipes. The process ends when its pipes are closed.
        self._close_all()
        if self._process is not None:
            self._process.wait()

    def release(self) -> None:
        """Closes the pipe of requests without waiting. The process then ends as after a body that raised."""
        self._is_released = True
        self._wake()

    # The thread

    def _wake(self) -> None:
        try:
            os.write(self._wake_writer, b"x")
        except OSError:
            # The pipe is full, so the thread will wake; or it is closed, because the session is over.
            pass

    def _serve(self) -> None:
        process = self._process
        assert process is not None, "the thread is started after the process"
        try:
            self._exchange()
        except Exception as error:
            logger.exception("the session's pipes cannot be used")
            self._give_up(SessionError(f"the session's pipes cannot be used: {error}"))
            process.kill()
        finally:
            # When its pipe of requests is closed, a session ends, whatever it is doing.
            self._close(self._requests)
            self._give_up(self._ending(process.pid, self._reap(process)))
            with self._lock:
                self._close_all()
            self._tell({"event": OVER})

    def _exchange(self) -> None:
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        if self._process_descriptor >= 0:
            poll.register(self._process_descriptor, select.POLLIN)
        unsent = b""
        begun = bytearray()
        while True:
            ready = dict(poll.poll())
            if self._wake_reader in ready:
                os.read(self._wake_reader, 4096)
                while not self._outgoing.empty():
                    unsent += self._outgoing.get()
                if self._is_released:
                    self._close(self._requests)
            if self._is_released:
                unsent = b""
            if unsent:
                unsent = self._write(unsent)
            if unsent:
                poll.register(self._requests, select.POLLOUT)
            elif self._requests in ready:
                poll.unregister(self._requests)
            if self._answers in ready:
                piece = os.read(self._answers, 1 << 16)
                if not piece:
                    return
                begun += piece
                if b"\n" in piece:
                    *lines, begun = begun.split(b"\n")
                    for each in lines:
                        self._take(bytes(each))
            elif self._process_descriptor in ready:
                # The process has ended and all of its output was read. Another process may hold the pipe open.
                return

    def _write(self, unsent: bytes) -> bytes:
        try:
            return unsent[os.write(self._requests, unsent) :]
        except BlockingIOError:
            return unsent
        except BrokenPipeError:
            # The other descriptors report its end.
            return b""

    def _take(self, text: bytes) -> None:
        message = json.loads(text)
        if "hello" in message:
            self._hello.result = message["hello"]
            self._hello.done.set()
        elif "event" in message:
            self._tell(message)
        elif message["id"] is None:
            # The request of this line is unknown, and no caller may wait for an answer that never comes.
            self._fail_all(_errors.error(message["error"]))
        elif "part" in message:
            with self._lock:
                pending = self._pending.get(message["id"])
            if pending is not None:
                pending.parts.append(message["part"])
        else:
            self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        with self._lock:
            pending = self._pending.pop(message["id"], None)
        if pending is None:
            return
        if "error" in message:
            pending.fail(_errors.error(message["error"]))
        else:
            pending.result = message.get("result", {})
            pending.done.set()

    def _tell(self, event: dict[str, Any]) -> None:
        try:
            self._on_event(event)
        except Exception:
            # An error of the display must not affect the work.
            logger.exception("an event of the mirror cannot be shown")

    def _reap(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(REAP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _ending(self, process: int, status: int) -> MirrorError:
        if self._is_ending and status >= 0:
            return _errors.EndedError("the mirror has ended")
        how = f"by signal {_signal_name(-status)}" if status < 0 else f"with status {status}"
        if not self._hello.done.is_set():
            return VersionError(
                f"{self.command} ended {how} before it said hello; it is older than {__version__}, or no s3mirror"
            )
        return SessionError(
            f"the process of the mirror ({self.command}, process {process}) ended {how}; "
            "what was not published is still here, and the next run publishes it"
        )

    def _give_up(self, error: MirrorError) -> None:
        with self._lock:
            if self._over is None:
                self._over = error
        if not self._hello.done.is_set():
            self._hello.fail(error)
        self._fail_all(error)

    def _fail_all(self, error: MirrorError) -> None:
        with self._lock:
            waiting = list(self._pending.values())
            self._pending.clear()
        for pending in waiting:
            pending.fail(error)

    def forget(self) -> None:
        """In a fork: releases the parent's resources, so that this process neither holds its pipes nor waits for its child."""
        self._close_all()
        if self._process is not None:
            self._process.returncode = 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _forget_sessions() -> None:
    for session in list(_sessions):
        session.forget()
    _sessions.clear()


os.register_at_fork(after_in_child=_forget_sessions)
