"""That the fault proxy passes bytes on as they are, and does to a request what its effect says."""

import http.client
import http.server
import socket
import threading
import time
import unittest

from chaosexchange import Effect
from chaosproxy import FaultProxy

BODY = bytes(range(256)) * 1000


class Store(http.server.BaseHTTPRequestHandler):
    """Keeps what is put, as a server of objects would."""

    protocol_version = "HTTP/1.1"
    objects = {}

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) == int(self.headers["Content-Length"]):
            self.objects[self.path] = body
        self.answer(200, b"", [("ETag", '"e"'), ("Seen-Host", self.headers["Host"])])

    def do_GET(self):
        self.answer(200, self.objects[self.path])

    def answer(self, status, body, headers=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # a connection that was reset, which is what is tried


class Effects(unittest.TestCase):
    def setUp(self):
        Store.objects.clear()
        self.server = Server(("127.0.0.1", 0), Store)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.effect = None
        self.proxy = self.enterContext(FaultProxy(self.server.server_address[1], lambda request: self.effect))

    def ask(self, method="PUT", body=BODY, timeout=5):
        client = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=timeout)
        try:
            client.request(method, "/b/k", body if method == "PUT" else None)
            answer = client.getresponse()
            return answer.status, answer.read(), answer
        finally:
            client.close()

    def fails(self, effect, method="PUT"):
        self.effect = effect
        with self.assertRaises((OSError, http.client.HTTPException)):
            self.ask(method)

    def test_without_an_effect_every_byte_and_the_host_pass(self):
        status, _, answer = self.ask()
        self.assertEqual((status, Store.objects["/b/k"]), (200, BODY))
        self.assertEqual(answer.getheader("Seen-Host"), f"127.0.0.1:{self.proxy.port}")
        self.assertEqual(self.ask("GET")[1], BODY)
        self.assertEqual([(each.key, each.etag, each.size) for each in self.proxy.publications], [("k", "e", len(BODY))])

    def test_before_and_within_the_body_nothing_is_stored(self):
        self.fails(Effect("reset_before"))
        self.fails(Effect("reset_in", at=0.3))
        self.assertEqual((Store.objects, self.proxy.publications), ({}, []))

    def test_a_lost_reply_was_carried_out(self):
        self.fails(Effect("lose_reply"))
        self.assertEqual(Store.objects["/b/k"], BODY)
        self.assertEqual(len(self.proxy.publications), 1)

    def test_what_is_sent_whole_is_carried_out_though_nobody_waits(self):
        self.fails(Effect("reset_after"))
        ends = time.monotonic() + 5
        while "/b/k" not in Store.objects and time.monotonic() < ends:
            time.sleep(0.01)
        self.assertEqual(Store.objects["/b/k"], BODY)

    def test_answers_that_are_cut(self):
        self.ask()
        for at in (0.0, 0.5, 0.99):
            self.fails(Effect("cut_head", at=at), "GET")
            self.fails(Effect("cut_body", at=at, is_reset=False), "GET")

    def test_answers_that_are_late(self):
        for kind in ("stall", "stall_in", "drip"):
            self.effect = Effect(kind, seconds=0.2)
            began = time.monotonic()
            self.assertEqual(self.ask()[0], 200)
            self.assertGreaterEqual(time.monotonic() - began, 0.2)

    def test_an_answer_that_never_comes(self):
        self.effect = Effect("hang")
        with self.assertRaises(TimeoutError):
            self.ask(timeout=0.3)

    def test_an_answer_of_its_own(self):
        self.effect = Effect("reply", status=503, content=b"<Error/>", headers=(("Retry-After", "2"),))
        status, body, answer = self.ask()
        self.assertEqual((status, body, answer.getheader("Retry-After")), (503, b"<Error/>", "2"))
        self.assertEqual(Store.objects, {})

    def test_garbage_and_a_garbled_head(self):
        self.fails(Effect("garbage", content=b"\0\1\2nonsense\r\n\r\n"))
        self.ask_raw_head(Effect("garble", content=b"\0\0\0"))

    def ask_raw_head(self, effect):
        self.effect = effect
        with socket.create_connection(("127.0.0.1", self.proxy.port), timeout=5) as client:
            client.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx")
            self.assertNotIn(b"HTTP/1.1 200 OK\r\n", client.recv(1000))

    def test_one_bit_is_another_up_and_down(self):
        self.ask()
        self.effect = Effect("corrupt", at=0.5)
        changed = self.ask("GET")[1]
        self.assertEqual((len(changed), sum(a != b for a, b in zip(changed, BODY))), (len(BODY), 1))
        self.ask()
        self.assertNotEqual(Store.objects["/b/k"], BODY)

    def test_nobody_listens_and_then_again(self):
        self.proxy.cut()
        self.fails(None)
        self.proxy.accept()
        self.assertEqual(self.ask()[0], 200)

    def test_frozen_connections_are_forgotten_and_new_ones_serve(self):
        client = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=0.3)
        self.addCleanup(client.close)
        client.request("PUT", "/b/k", BODY)
        client.getresponse().read()
        self.proxy.freeze()
        with self.assertRaises(TimeoutError):
            client.request("PUT", "/b/k", BODY)
            client.getresponse()
        self.proxy.thaw()
        self.assertEqual(self.ask()[0], 200)


if __name__ == "__main__":
    unittest.main()
