"""The faults: what each does to requests, connections, the server, the process or the disk, and for how long.

A fault is drawn from a round's random numbers, so the seed decides it. `begin` and `end` are called by the round; between
them `choose` says what happens to each request.
"""

import random

from chaosexchange import Effect

PORTAL = (
    b"<!DOCTYPE html><html><head><title>Welcome</title></head>"
    b"<body><form action=/login>Please accept the terms.</form></body></html>"
)
# The S3 operations of an upload, a comparison and a download.
WRITES = ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "CopyObject", "DeleteObjects")
BODIES = ("PutObject", "UploadPart")
UPLOADS = ("ListMultipartUploads", "ListParts")
# The operations whose 200 may hold an error (Amazon S3 API Reference, CopyObject and CompleteMultipartUpload).
LATE_ERRORS = ("CompleteMultipartUpload", "CopyObject", "UploadPartCopy")


def error(status, code, headers=(), message="chaos"):
    content = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Effect("reply", status=status, code=code, headers=tuple(headers), content=content.encode())


class Fault:
    """Harms requests: `effect(source, request)` for a share of those operations, while it is on."""

    # What the round has to prepare; see chaosround.py.
    place = "network"
    persists = False  # it goes on when the round awaits recovery

    def __init__(self, source, effect, operations=None, share=1.0, seconds=1.5, most=None):
        self.source, self.effect = source, effect
        self.operations, self.share, self.seconds = operations, share, seconds
        self.most = most  # so many requests, and no more
        self.done = 0
        self.is_on = False

    @property
    def is_movable(self):
        """Whether it may come as well before the mirror starts, or as it is ordered to leave."""
        return self.effect is not None and not self.persists

    def begin(self, round):
        self.is_on = True

    def end(self, round):
        if not self.persists:
            self.is_on = False

    def choose(self, request):
        if not self.is_on or (self.operations and request.operation not in self.operations):
            return None
        if (self.most is not None and self.done >= self.most) or self.source.random() >= self.share:
            return None
        self.done += 1
        return self.effect(self.source, request)

    def describe(self):
        to = ", ".join(self.operations) if self.operations else "all requests"
        return f"{self.share:.0%} of {to}, {self.seconds:.1f} s" if self.effect else "nothing"


class Network(Fault):
    """Something happens to the proxy as a whole."""

    def __init__(self, source, begin, end, seconds):
        super().__init__(source, None, seconds=seconds)
        self._begin, self._end = begin, end

    @property
    def is_movable(self):
        return True

    def begin(self, round):
        self._begin(round.proxy)

    def end(self, round):
        self._end(round.proxy)

    def choose(self, request):
        return None

    def describe(self):
        return f"{self.seconds:.1f} s"


class Place(Fault):
    """Something outside of the network, which the round does by the fault's name."""

    def __init__(self, source, place, seconds=1.0, **facts):
        super().__init__(source, None, seconds=seconds)
        self.place, self.facts = place, facts

    def choose(self, request):
        return None

    def describe(self):
        return ", ".join([f"{self.seconds:.1f} s", *(f"{name} {value}" for name, value in self.facts.items())])


class ExpiredToken(Fault):
    """The token is refused until the credentials' provider was asked again."""

    def __init__(self, source):
        super().__init__(source, lambda *_: error(403, "ExpiredToken", message="The provided token has expired."))
        self.seconds = 0.5
        self.persists = True
        self._asked = None

    def begin(self, round):
        self._round, self._asked = round, round.provider_calls()
        self.is_on = True

    def choose(self, request):
        if self.is_on and self._round.provider_calls() > self._asked:
            self.is_on = False
        return super().choose(request)

    def describe(self):
        return "until the provider is asked again"


def anywhere(source):
    """All operations, those that carry a body, or one of those that publish."""
    return source.choice([None, None, None, BODIES, (source.choice(WRITES),)])


def harm(make, operations=anywhere, least=0.3, most=None):
    """A fault that does `make(source)` to a share of requests, for about a second and a half."""

    def draw(source):
        chosen = operations(source) if callable(operations) else operations
        share = source.uniform(least, 1.0)
        limit = most(source) if most else None
        return Fault(source, lambda s, request: make(s), chosen, share, source.uniform(0.5, 2.0), limit)

    return draw


def burst(source):
    """503, 500 or 502 for most requests."""
    status, code = source.choice([(500, "InternalError"), (502, "BadGateway"), (503, "SlowDown"), (504, "GatewayTimeout")])
    return harm(lambda s: error(status, code))(source)


def late_error(source):
    def effect(s, request):
        if request.operation == "DeleteObjects":
            return error(200, "InternalError")
        return error(200, s.choice(["InternalError", "SlowDown"]))

    return Fault(source, effect, (*LATE_ERRORS, "DeleteObjects"), source.uniform(0.5, 1.0), source.uniform(0.5, 2.0))


def redirect(source):
    def effect(s, request):
        answer = error(307, "TemporaryRedirect")
        answer.headers = (("Location", f"http://127.0.0.1:1/{request.key}"),)
        return answer

    return Fault(source, effect, anywhere(source), source.uniform(0.3, 1.0), source.uniform(0.5, 1.5))


def no_upload_listing(source):
    """Whoever only publishes needs no list of multipart uploads: for as long as the round lasts."""
    answer = source.choice(
        [
            error(404, "NoSuchKey"),
            error(400, "InvalidArgument"),
            error(500, "InternalError"),
            error(501, "NotImplemented"),
            Effect("reply", status=200, content=PORTAL, content_type="text/html"),
            Effect("reply", status=200, content=b"<ListMultipartUploadsResult><Upload><Key>a\x08b</Key></Upload>"),
        ]
    )
    fault = Fault(source, lambda s, request: answer, source.choice([UPLOADS, UPLOADS[:1], UPLOADS[1:]]), 1.0, 0.5)
    fault.persists = True
    return fault


def network(begin, end, least=0.8, most=2.5):
    return lambda source: Network(source, begin, end, source.uniform(least, most))


def place(name, least=0.5, most=1.5, **facts):
    def draw(source):
        chosen = {key: source.choice(value) for key, value in facts.items()}
        return Place(source, name, source.uniform(least, most), **chosen)

    return draw


def few(source):
    return source.randint(1, 3)


# Name -> the function that draws a fault, in the order of the table.
FAULTS = {
    "none": lambda source: Fault(source, None, (), 0, 0.2),
    # Only the writer: checkpoints faster than the interval.
    "hectic": lambda source: Fault(source, None, (), 0, 0.2),
    "refuse": network(lambda proxy: proxy.refuse(), lambda proxy: proxy.accept()),
    "reset-before": harm(lambda s: Effect("reset_before", is_reset=s.random() < 0.7)),
    "reset-in": harm(lambda s: Effect("reset_in", s.random(), is_reset=s.random() < 0.7), BODIES),
    "reset-after": harm(lambda s: Effect("reset_after", is_reset=s.random() < 0.7)),
    "stall": harm(lambda s: Effect("stall", seconds=s.uniform(0.5, 3)), least=0.2),
    "stall-in": harm(lambda s: Effect("stall_in", s.random(), s.uniform(0.5, 3)), BODIES, least=0.2),
    "drip": harm(lambda s: Effect("drip", seconds=s.uniform(0.5, 3)), least=0.2),
    "cut-head": harm(lambda s: Effect("cut_head", s.random(), is_reset=s.random() < 0.5)),
    "cut-body": harm(lambda s: Effect("cut_body", s.random(), is_reset=s.random() < 0.5)),
    "burst-429": harm(lambda s: error(429, "TooManyRequests")),
    "burst-5xx": burst,
    "retry-after": harm(lambda s: error(s.choice([429, 503]), "SlowDown", [("Retry-After", s.choice(["1", "2"]))])),
    "request-timeout": harm(lambda s: error(400, "RequestTimeout"), ("PutObject", "UploadPart", "CompleteMultipartUpload")),
    "expired-token": ExpiredToken,
    "conflict-409": harm(
        lambda s: error(409, s.choice(["ConditionalRequestConflict", "OperationAborted"])),
        ("PutObject", "CompleteMultipartUpload", "CopyObject"),
    ),
    "redirect-307": redirect,
    "error-in-200": late_error,
    "portal": harm(
        lambda s: Effect("reply", status=200, content=PORTAL, content_type="text/html"), lambda s: None, least=0.8
    ),
    "lost-reply": harm(lambda s: Effect("lose_reply", is_reset=s.random() < 0.7), lambda s: (s.choice(WRITES),), most=few),
    "garbage": harm(lambda s: Effect("garbage", content=s.randbytes(s.randint(1, 2000)), is_reset=s.random() < 0.5)),
    "garble": harm(lambda s: Effect("garble", s.random(), content=s.randbytes(3))),
    "corrupt-put": harm(lambda s: Effect("corrupt", s.random()), BODIES, most=few),
    "hang": harm(lambda s: Effect("hang"), anywhere, most=few),
    "freeze": network(lambda proxy: proxy.freeze(), lambda proxy: proxy.thaw()),
    "outage": network(lambda proxy: proxy.cut(), lambda proxy: proxy.accept()),
    "outage-long": network(lambda proxy: proxy.cut(), lambda proxy: proxy.accept(), 12, 18),
    "no-upload-listing": no_upload_listing,
    "soak": place("soak"),
    "server-restart": place("server-restart", how=["terminate", "kill"]),
    "kill": place("kill", 0.3, 2.0),
    "terminate": place("terminate", 0.3, 2.0),
    "stop": place("stop", 0.5, 2.5),
    "two-mirrors": place("two-mirrors", 1.0, 2.5),
    "few-descriptors": place("few-descriptors", limit=[48, 64]),
    "little-memory": place("little-memory", limit=[320, 400]),
    "disk-full": place("disk-full"),
    "disk-read-only": place("disk-read-only"),
    "unreadable": place("unreadable", what=["file", "directory"]),
    "unmounted": place("unmounted"),
    # Faults of downloads.
    "get-reset": harm(lambda s: Effect("cut_body", s.random(), is_reset=True), ("GetObject",)),
    "get-cut": harm(lambda s: Effect("cut_body", s.random(), is_reset=False), ("GetObject",)),
    "get-corrupt": harm(lambda s: Effect("corrupt", s.random()), ("GetObject",), most=few),
    "get-burst": harm(lambda s: error(*s.choice([(503, "SlowDown"), (500, "InternalError")])), ("GetObject", "ListObjectsV2", "HeadObject")),
    "get-garble": harm(lambda s: Effect("garble", s.random(), content=s.randbytes(3)), ("GetObject", "ListObjectsV2", "HeadObject")),
    "get-portal": harm(lambda s: Effect("reply", status=200, content=PORTAL, content_type="text/html"), lambda s: None),
    "get-kill": place("get-kill", 0.05, 0.6),
    "get-disk-full": place("get-disk-full"),
}
DOWNLOADS = tuple(name for name in FAULTS if name.startswith("get-"))
NEEDS_MOUNTS = ("disk-full", "disk-read-only", "unmounted", "get-disk-full")
NEEDS_ROOT = (*NEEDS_MOUNTS, "unreadable")
# Slow faults. A campaign has one round of them for four rounds of others.
RARE = ("outage-long", "soak", "server-restart")
# Faults whose result depends on the additional memory and descriptors of a sanitizer.
WEIGHED = ("few-descriptors", "little-memory", "soak")
# One fault of each kind, for the tests: 30 rounds.
QUICK = (
    *("none", "refuse", "reset-in", "reset-after", "stall", "drip", "cut-head", "cut-body", "burst-5xx", "retry-after"),
    *("request-timeout", "expired-token", "error-in-200", "portal", "lost-reply", "garbage", "corrupt-put", "freeze"),
    *("outage", "no-upload-listing", "kill", "terminate", "stop", "few-descriptors", "disk-full", "unreadable"),
    *("unmounted", "get-cut", "get-corrupt", "get-kill"),
)


def draw(name, seed):
    return FAULTS[name](random.Random(f"{seed}/fault"))
