"""A proxy on loopback that harms what passes through it: one effect a request, chosen by whoever made the proxy.

Bytes that are not harmed go as they came, the Host header included, so signatures stay valid (proxy.py). It works on
sockets of its own event loop in its own thread. It remembers what the server, not the client, was answered.
"""

import asyncio
import contextlib
import dataclasses
import http.client
import io
import re
import socket
import struct
import threading
import time

from chaosexchange import Exchange, Gone
from proxy import classify

HEAD_LIMIT = 64 * 1024  # bytes of a request's or an answer's head
PUBLISHING = ("PutObject", "CompleteMultipartUpload", "CopyObject")


@dataclasses.dataclass
class Publication:
    """An object that the server said it has."""

    time: float
    operation: str
    key: str
    etag: str
    size: int | None  # None where the request does not say it


class FaultProxy:
    """`choose(request)` gives the Effect of a request, or None. It is called in the proxy's thread."""

    def __init__(self, target_port, choose=None):
        self.target_port = target_port
        self.choose = choose or (lambda request: None)
        self.port = None
        self.publications = []
        self.counts = {}  # operation -> requests
        self.harmed = 0
        self.parts = {}  # upload ID -> part -> bytes
        self._connections, self._tasks = set(), set()
        self._server = None
        self._frozen = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self):
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_):
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    # What happens to all connections

    def refuse(self):
        """Nobody listens; what is open stays."""
        self._call(self._unlisten())

    def cut(self):
        """Nobody listens, and what is open is reset."""
        self._call(self._unlisten())
        self.reset_all()

    def accept(self):
        self._call(self._listen())

    def reset_all(self):
        self._call(self._reset_all())

    def freeze(self):
        """No byte moves any more; connections of now, and of until thaw(), are forgotten for good."""
        self._frozen = True
        for connection in list(self._connections):
            connection.is_forgotten = True

    def thaw(self):
        self._frozen = False

    # In the loop

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    async def _listen(self):
        if self._server:
            return
        self._server = await asyncio.start_server(
            self._accepted, "127.0.0.1", self.port or 0, limit=HEAD_LIMIT, backlog=256, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _unlisten(self):
        if self._server:
            self._server.close()
            self._server = None

    async def _reset_all(self):
        for connection in list(self._connections):
            connection.abort()

    async def _close(self):
        await self._unlisten()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accepted(self, reader, writer):
        # A task of its own, because asyncio would report a cancelled task as an error.
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader, writer):
        connection = Connection(self, reader, writer)
        connection.is_forgotten = self._frozen
        self._connections.add(connection)
        try:
            await connection.serve()
        except (Gone, ConnectionError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            pass  # one side is gone or speaks no HTTP; both are closed below
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(connection)
            connection.close()

    def note_answer(self, request, status, headers, body):
        """What the server answered, before any harm to it."""
        if status != 200:
            return
        if request.operation not in PUBLISHING or b"<Error>" in body:
            return
        etag, size = headers.get("ETag", ""), request.size
        if request.operation != "PutObject":
            found = re.search(rb"<ETag>(.*?)</ETag>", body)
            etag = found[1].decode().replace("&#34;", '"').replace("&quot;", '"') if found else ""
            sent = self.parts.get(request.upload_id, {})
            size = sum(sent.values()) if request.upload_id else None
        self.publications.append(Publication(time.time(), request.operation, request.key, etag.strip('"'), size))


class Connection:
    """One client's connection, and ours to the server."""

    def __init__(self, proxy, reader, writer):
        self.proxy, self.reader, self.writer = proxy, reader, writer
        self.up = None  # (reader, writer) of the server's side
        self.is_forgotten = False
        self.task = asyncio.current_task()

    async def serve(self):
        while True:
            head = await self.reader.readuntil(b"\r\n\r\n")
            await self.alive()
            line, _, fields = head.partition(b"\r\n")
            method, target, _ = line.decode("latin-1").split(" ", 2)
            headers = http.client.parse_headers(io.BytesIO(fields))
            request = classify(method, target, headers)
            request.size = int(headers.get("Content-Length", 0))
            if length := headers.get("x-amz-decoded-content-length"):
                request.size = int(length)
            self.proxy.counts[request.operation] = self.proxy.counts.get(request.operation, 0) + 1
            if headers.get("Expect"):
                await self.down(b"HTTP/1.1 100 Continue\r\n\r\n")
            if request.operation == "UploadPart":
                # Recorded before the answer is sent, because ListParts finds a part whose answer was lost, and the upload is then
                # completed.
                self.proxy.parts.setdefault(request.upload_id, {})[request.part] = request.size
            effect = self.proxy.choose(request)
            exchange = Exchange(self, request, method, head, headers)
            if effect:
                self.proxy.harmed += 1
                await getattr(exchange, effect.kind)(effect)
            else:
                await exchange.plain()

    async def alive(self):
        """Returns unless this connection was forgotten."""
        if self.is_forgotten:
            await asyncio.Event().wait()

    async def down(self, data):
        await self.alive()
        self.writer.write(data)
        await self.writer.drain()
        await self.alive()

    async def server(self):
        if self.up is None:
            self.up = await asyncio.open_connection("127.0.0.1", self.proxy.target_port, limit=HEAD_LIMIT)
        return self.up

    def abort(self):
        """RST to the client, whatever is on its way."""
        with contextlib.suppress(OSError, AttributeError):
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.task.cancel()

    def close(self):
        self.writer.close()
        if self.up:
            self.up[1].transport.abort()
