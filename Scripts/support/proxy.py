"""A forwarding proxy on loopback that counts S3 requests: what really went over the wire, whoever reports it.

It forwards bytes as they are, the Host header included, so that signatures stay valid: the client is pointed
at the proxy's address and signs that, and the server checks the signature against the Host it receives.
"""

import collections
import contextlib
import dataclasses
import http.client
import io
import socket
import socketserver
import threading
import time
import urllib.parse

CHUNK = 256 * 1024  # bytes moved per call
PACED_CHUNK = 64 * 1024  # bytes moved per call, and kept by the kernel, where bodies are slowed
HEAD_LIMIT = 64 * 1024  # bytes of a request head; S3's own limit is far below


@dataclasses.dataclass
class Request:
    """One request, named by the operation that AWS documents for its method and query."""

    time: float  # time.time() when its head was complete
    operation: str
    key: str
    part: int | None = None
    upload_id: str | None = None
    size: int = 0  # bytes of its body, as announced
    sent: int = 0  # bytes of its body that came so far
    status: int | None = None  # None while unanswered
    ended: float | None = None  # time.time() of its answer, or when its connection broke


class CountingProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port` and remembers each request.

    Three functions, where given, are called with each request: `gate` before anything of it is forwarded, `body_gate`
    before each piece of its body, `answer_gate` before its answer is passed on. They may block, and so hold that one
    request (and its connection) while all others pass. `bytes_per_second` slows all bodies together.
    """

    def __init__(self, target_port, gate=None, body_gate=None, answer_gate=None, bytes_per_second=None):
        self.target_port = target_port
        self.gate, self.body_gate, self.answer_gate = gate, body_gate, answer_gate
        self.pace = Pace(bytes_per_second) if bytes_per_second else None
        self._connections = 0
        self._requests = []
        self._lock = threading.Lock()
        proxy = self

        class Connection(socketserver.BaseRequestHandler):
            def handle(self):
                proxy.count_connections(1)
                try:
                    forward(self.request, proxy)
                finally:
                    proxy.count_connections(-1)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection, bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.request_queue_size = 128

    def __enter__(self):
        if self.pace:
            # Otherwise the kernel accepts megabytes of a body at once, whatever the rate. Accepted sockets inherit this option.
            self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PACED_CHUNK)
        self._server.server_bind()
        self._server.server_activate()
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def requests(self, since=0.0, until=float("inf")):
        """Copies of the requests that began in that span of time.time(), in order."""
        with self._lock:
            return [dataclasses.replace(each) for each in self._requests if since <= each.time < until]

    def counts(self, since=0.0, until=float("inf")):
        """How many of each operation."""
        return collections.Counter(each.operation for each in self.requests(since, until))

    def note(self, request):
        with self._lock:
            self._requests.append(request)

    def took(self, request, count):
        """A piece of the body has come, and goes on when this returns."""
        with self._lock:
            request.sent += count
        if self.body_gate:
            self.body_gate(request)
        if self.pace:
            self.pace.take(count)

    def answer(self, request, status):
        with self._lock:
            request.status, request.ended = status, time.time()
        if self.answer_gate:
            self.answer_gate(request)

    def broke(self, request):
        with self._lock:
            request.ended = time.time()

    def count_connections(self, change):
        with self._lock:
            self._connections += change

    def await_quiet(self, seconds):
        """Waits until no connection is open: whatever a client that is gone had sent has had its effect."""
        deadline = time.monotonic() + seconds
        while self._connections:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._connections} connections are still open")
            time.sleep(0.01)


class Pace:
    """Lets so many bytes a second pass, whoever asks."""

    def __init__(self, bytes_per_second):
        self.bytes_per_second = bytes_per_second
        self._free = 0.0  # time.monotonic() from which the next piece may pass
        self._lock = threading.Lock()

    def take(self, count):
        with self._lock:
            now = time.monotonic()
            wait = max(self._free - now, 0.0)
            self._free = now + wait + count / self.bytes_per_second
        time.sleep(wait)


def forward(client, proxy):
    """Serves one client connection: requests up in this thread, answers down in another."""
    try:
        server = socket.create_connection(("127.0.0.1", proxy.target_port))
    except OSError:
        return  # closing the client says it: connection reset, which every S3 client retries
    for side in (client, server):
        side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    exchange = Exchange(proxy)
    down = threading.Thread(target=pump_answers, args=(server, client, exchange), daemon=True)
    down.start()
    try:
        pump_requests(client, server, exchange)
    except OSError:
        pass  # one side is gone; the other learns it here or in the other thread
    finally:
        # Also inside a body; otherwise the server would wait for its rest, and `down` for the server.
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)
        down.join()
        server.close()
        exchange.broke()


class Exchange:
    """The request of a connection that has no answer yet. HTTP/1.1 without pipelining has at most one."""

    def __init__(self, proxy):
        self.proxy = proxy
        self.open = None
        self.latest = None  # as well when the server has answered before the end of the body

    def began(self, request):
        self.proxy.note(request)
        self.open = self.latest = request
        if self.proxy.gate:
            self.proxy.gate(request)

    def took(self, count):
        self.proxy.took(self.latest, count)

    def broke(self):
        if self.open:
            self.proxy.broke(self.open)
            self.open = None

    def answered(self, beginning):
        """Takes the first bytes of an answer; an interim one (RFC 9110 §15.2) is not it."""
        while self.open and beginning.startswith(b"HTTP/1."):
            status = int(beginning[9:12])
            if status >= 200:
                answered, self.open = self.open, None
                self.proxy.answer(answered, status)
                return
            _, _, beginning = beginning.partition(b"\r\n\r\n")


def pump_requests(client, server, exchange):
    stream = client.makefile("rb", buffering=PACED_CHUNK if exchange.proxy.pace else CHUNK)
    while head := read_head(stream):
        line, _, fields = head.partition(b"\r\n")
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = http.client.parse_headers(io.BytesIO(fields))
        request = classify(method, target, headers)
        request.size = int(headers.get("Content-Length", 0))
        exchange.began(request)
        server.sendall(head)
        if "chunked" in headers.get("Transfer-Encoding", "").lower():
            copy_chunked(stream, server, exchange.took)
        else:
            copy_exactly(stream, server, request.size, exchange.took)


def pump_answers(server, client, exchange):
    try:
        while data := server.recv(CHUNK):
            if exchange.open:
                exchange.answered(data)
            client.sendall(data)
    except OSError:
        pass
    # In both directions, so that a client that still sends a body gets an error.
    for side in (client, server):
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def read_head(stream):
    """The bytes up to and with the empty line; empty at the connection's end."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(HEAD_LIMIT)
        if not line or len(head) > HEAD_LIMIT:
            return b""
        head += line
    return head


def copy_exactly(stream, server, count, took):
    while count:
        # read1 passes on the available bytes; read would wait for a whole CHUNK.
        data = stream.read1(min(count, CHUNK))
        if not data:
            raise ConnectionError("the client ended within a body")
        took(len(data))
        server.sendall(data)
        count -= len(data)


def copy_chunked(stream, server, took):
    while True:
        line = stream.readline(HEAD_LIMIT)
        server.sendall(line)
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        copy_exactly(stream, server, size + 2, took)
    while line := stream.readline(HEAD_LIMIT):  # trailers, to the empty line
        server.sendall(line)
        if line == b"\r\n":
            break


def classify(method, target, headers):
    """The AWS name of a path-style request (Amazon S3 API Reference, Actions)."""
    path, _, query_text = target.partition("?")
    query = urllib.parse.parse_qs(query_text, keep_blank_values=True)
    _, _, key = urllib.parse.unquote(path.lstrip("/")).partition("/")
    copied = "x-amz-copy-source" in headers
    upload = "uploadId" in query
    names = {
        "GET": "ListParts" if upload else "GetObject",
        "HEAD": "HeadObject",
        "PUT": ("UploadPartCopy" if copied else "UploadPart") if upload else ("CopyObject" if copied else "PutObject"),
        "POST": "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload",
        "DELETE": "AbortMultipartUpload" if upload else "DeleteObject",
    }
    bucket_names = {
        "GET": "ListObjectsV2" if "list-type" in query else "ListObjects",
        "HEAD": "HeadBucket",
        "PUT": "CreateBucket",
        "POST": "DeleteObjects",
        "DELETE": "DeleteBucket",
    }
    operation = (names if key else bucket_names).get(method, method)
    if method == "GET" and not key and "uploads" in query:
        operation = "ListMultipartUploads"
    elif method == "GET" and not key and "list-type" not in query:
        # GET ?location, ?versioning and so on name their operation; a plain GET of a bucket is the old listing.
        configuration = {"location", "versioning", "acl", "policy", "object-lock", "encryption"} & query.keys()
        if configuration:
            operation = "GetBucket" + configuration.pop().title()
    part = query.get("partNumber")
    return Request(
        time=time.time(),
        operation=operation,
        key=key,
        part=int(part[0]) if part else None,
        upload_id=query["uploadId"][0] if upload else None,
    )
