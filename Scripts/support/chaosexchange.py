"""One request through the fault proxy, and its answer: forwarded as they are, or harmed as an effect says."""

import asyncio
import dataclasses
import http.client
import io

PIECE = 64 * 1024  # bytes moved at once


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


class Gone(Exception):
    """The connection ends here."""


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
        """A few bytes of the answer's first line are others. (Of a field's value the client could not know it.)"""
        await self.send()
        head, body = await self.answer()
        changed, end = bytearray(head), head.index(b"\r\n")
        for index, byte in enumerate(effect.content):
            changed[(int(effect.at * end) + 7 * index) % end] = byte
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
