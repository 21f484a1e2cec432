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

from proxy import classify

HEAD_LIMIT = 64 * 1024  # bytes of a request's or an answer's head
PIECE = 64 * 1024  # bytes moved at once
PUBLISHING = ("PutObject", "CompleteMultipartUpload", "CopyObject")


@dataclasses.dataclass
class Effect:
    """What is done to one request. `kind` is a method of Exchange; `at` a place in what is cut, from 0 to 1."""

    kind: str
    at: float = 0.5
    seconds: float = 0.0
    status: int = 0
    code: str = ""
    headers: tuple = ()
    content: bytes = b""
    content_type: str = "application/xml"
    is_reset: bool = True  # a cut connection ends with RST, else with FIN


@dataclasses.dataclass
class Publication:
    """An object that the server said it has."""

    time: float
    operation: str
    key: str
    etag: str
    size: int | None  # None where the request does not say it


class Gone(Exception):
    """The connection ends here."""


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
        # A task of our own: asyncio would report one that is cancelled as an error.
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
        if request.operation == "UploadPart":
            self.parts.setdefault(request.upload_id, {})[request.part] = request.size
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


class Exchange:
    """One request and its answer. The methods are the kinds of effects."""

    def __init__(self, connection, request, method, head, headers):
        self.connection, self.request = connection, request
        self.method, self.head, self.headers = method, head, headers
        self.status = 0

    # Forwarding

    async def plain(self):
        await self.send()
        await self.receive()
        if self.status >= 400 and self.request.size:
            raise Gone  # the server may have left before the body's end

    async def pieces(self):
        """The request's body as it comes."""
        reader = self.connection.reader
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while True:
                line = await reader.readuntil(b"\r\n")
                size = int(line.split(b";")[0], 16)
                yield line + await reader.readexactly(size + 2)
                if not size:
                    return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise Gone
            left -= len(piece)
            self.request.sent += len(piece)
            yield piece

    async def send(self, until=1.0, change=None):
        """Forwards the request; only that share of its body, where `until` says so."""
        _, up = await self.connection.server()
        up.write(self.head)
        bound = self.request.size * until
        async for piece in self.pieces():
            await self.connection.alive()
            up.write(change(piece) if change else piece)
            await up.drain()
            if until < 1 and self.request.sent >= bound:
                return

    async def answer(self):
        """The server's whole answer: its head's bytes, and its body."""
        reader, _ = await self.connection.server()
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, fields = head.partition(b"\r\n")
            self.status = int(line[9:12])
            if self.status >= 200:  # an interim answer is not it (RFC 9110 section 15.2)
                break
        headers = http.client.parse_headers(io.BytesIO(fields))
        body = b""
        if self.method != "HEAD" and self.status not in (204, 304):
            if "chunked" in headers.get("Transfer-Encoding", "").lower():
                body = await self.chunks(reader)
            elif "Content-Length" in headers:
                body = await reader.readexactly(int(headers["Content-Length"]))
            else:
                body = await reader.read()
        self.connection.proxy.note_answer(self.request, self.status, headers, body)
        return head, body

    async def chunks(self, reader):
        """A chunked body as it is on the wire."""
        found = b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            found += line + await reader.readexactly(size + 2)
            if not size:
                return found

    async def receive(self):
        head, body = await self.answer()
        await self.connection.down(head + body)

    async def drain(self):
        async for _ in self.pieces():
            await self.connection.alive()

    def end(self, effect):
        """The connection ends, in the way that the effect says."""
        if effect.is_reset:
            self.connection.abort()
        raise Gone

    # Effects

    async def reset_before(self, effect):
        self.end(effect)

    async def reset_in(self, effect):
        """Within the body of the request; the server has a part of it."""
        await self.send(until=effect.at)
        self.end(effect)

    async def reset_after(self, effect):
        """The body has gone, and nobody waits for the server."""
        await self.send()
        self.end(effect)

    async def lose_reply(self, effect):
        """The server has carried it out, and its answer is dropped."""
        await self.send()
        await self.answer()
        self.end(effect)

    async def stall(self, effect):
        """The answer comes late."""
        await self.send()
        answer = await self.answer()
        await asyncio.sleep(effect.seconds)
        await self.connection.down(answer[0] + answer[1])

    async def stall_in(self, effect):
        """The body is not taken for a while."""
        _, up = await self.connection.server()
        up.write(self.head)
        waited = False
        async for piece in self.pieces():
            up.write(piece)
            await up.drain()
            if not waited and self.request.sent >= self.request.size * effect.at:
                waited = True
                await asyncio.sleep(effect.seconds)
        await self.receive()

    async def hang(self, effect):
        """No answer ever comes."""
        await self.send()
        await self.answer()
        self.connection.is_forgotten = True
        await self.connection.alive()

    async def drip(self, effect):
        """The answer comes byte by byte, over so many seconds."""
        await self.send()
        head, body = await self.answer()
        slow = (head + body)[:400]
        for index in range(len(slow)):
            await self.connection.down(slow[index : index + 1])
            await asyncio.sleep(effect.seconds / len(slow))
        await self.connection.down((head + body)[400:])

    async def cut_head(self, effect):
        await self.send()
        head, _ = await self.answer()
        await self.connection.down(head[: max(1, int((len(head) - 1) * effect.at))])
        await asyncio.sleep(0.01)  # RST would overtake what is not read yet
        self.end(effect)

    async def cut_body(self, effect):
        await self.send()
        head, body = await self.answer()
        await self.connection.down(head + body[: int(len(body) * effect.at)])
        if body:
            await asyncio.sleep(0.01)
            self.end(effect)

    async def reply(self, effect):
        """An answer of our own; the server hears nothing."""
        await self.drain()
        lines = [f"HTTP/1.1 {effect.status} {http.client.responses.get(effect.status, 'Unknown')}"]
        lines += [f"Content-Type: {effect.content_type}", f"Content-Length: {len(effect.content)}"]
        lines += [f"{name}: {value}" for name, value in effect.headers]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        await self.connection.down(head + (b"" if self.method == "HEAD" else effect.content))

    async def garbage(self, effect):
        """Bytes that are no HTTP at all, in place of the answer."""
        await self.send()
        await self.answer()
        await self.connection.down(effect.content)
        self.end(effect)

    async def garble(self, effect):
        """A few bytes of the answer's head are others."""
        await self.send()
        head, body = await self.answer()
        changed = bytearray(head)
        for index, byte in enumerate(effect.content):
            changed[(int(effect.at * len(head)) + 7 * index) % (len(head) - 4)] = byte
        await self.connection.down(bytes(changed) + body)
        raise Gone

    async def corrupt(self, effect):
        """A bit of an object's bytes is another, in a download or an upload."""
        if self.request.operation == "GetObject":
            await self.send()
            head, body = await self.answer()
            await self.connection.down(head + flipped(body, effect.at))
        else:
            await self.send(change=lambda piece: flipped(piece, effect.at))
            await self.receive()


def flipped(data, at):
    if not data:
        return data
    index = min(len(data) - 1, int(len(data) * at))
    return data[:index] + bytes([data[index] ^ 0x10]) + data[index + 1 :]
