"""That the proxy forwards every byte and names every request as AWS does."""

import http.client
import http.server
import socket
import threading
import time
import unittest

from proxy import CountingProxy, classify


class Names(unittest.TestCase):
    def test_each_operation_by_method_path_and_query(self):
        cases = [
            ("PUT", "/b/k", {}, "PutObject"),
            ("PUT", "/b/k", {"x-amz-copy-source": "/b/j"}, "CopyObject"),
            ("PUT", "/b/k?partNumber=2&uploadId=u", {}, "UploadPart"),
            ("PUT", "/b/k?partNumber=2&uploadId=u", {"x-amz-copy-source": "/b/j"}, "UploadPartCopy"),
            ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
            ("POST", "/b/k?uploads=", {}, "CreateMultipartUpload"),
            ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"),
            ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"),
            ("DELETE", "/b/k", {}, "DeleteObject"),
            ("POST", "/b?delete", {}, "DeleteObjects"),
            ("POST", "/b/?delete=", {}, "DeleteObjects"),
            ("GET", "/b?list-type=2&prefix=a%2F", {}, "ListObjectsV2"),
            ("GET", "/b/?prefix=a", {}, "ListObjects"),
            ("GET", "/b/?uploads&prefix=a", {}, "ListMultipartUploads"),
            ("GET", "/b?location", {}, "GetBucketLocation"),
            ("GET", "/b/k?uploadId=u", {}, "ListParts"),
            ("GET", "/b/k", {}, "GetObject"),
            ("HEAD", "/b/k", {}, "HeadObject"),
            ("HEAD", "/b", {}, "HeadBucket"),
        ]
        for method, target, headers, operation in cases:
            self.assertEqual(classify(method, target, headers).operation, operation, f"{method} {target}")

    def test_key_part_and_upload_are_read(self):
        request = classify("PUT", "/b/a%20b/c%2Bd?partNumber=7&uploadId=u%2F1", {})
        self.assertEqual((request.key, request.part, request.upload_id), ("a b/c+d", 7, "u/1"))


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) < int(self.headers["Content-Length"]):
                self.close_connection = True
                return
        self.send_response(200)
        self.send_header("Seen-Host", self.headers["Host"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.send_response(404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Forwarding(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.proxy = self.enterContext(CountingProxy(self.server.server_address[1]))
        self.client = http.client.HTTPConnection("127.0.0.1", self.proxy.port)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.client.close)

    def await_(self, condition):
        while not condition():
            time.sleep(0.001)

    def send(self, *arguments, **options):
        self.client.request(*arguments, **options)
        answer = self.client.getresponse()
        return answer, answer.read()

    def test_bodies_pass_unchanged_on_one_connection_and_each_request_counts(self):
        large = bytes(range(256)) * 8192  # 2 MiB, many of the proxy's chunks
        for body in (b"", b"GET /fake HTTP/1.1\r\n\r\n", large):
            answer, echoed = self.send("PUT", "/b/k", body=body, headers={"Content-Length": str(len(body))})
            self.assertEqual(echoed, body)
            self.assertEqual(answer.headers["Seen-Host"], f"127.0.0.1:{self.proxy.port}")
        _, echoed = self.send("PUT", "/b/k", body=iter([b"one", b"two"]), encode_chunked=True)
        self.assertEqual(echoed, b"onetwo")
        self.send("GET", "/b?list-type=2")
        self.assertEqual(self.proxy.counts(), {"PutObject": 4, "ListObjectsV2": 1})
        self.assertEqual([each.status for each in self.proxy.requests()], [200, 200, 200, 200, 404])

    def test_a_client_that_is_gone_within_a_body_leaves_no_connection_open(self):
        with socket.create_connection(("127.0.0.1", self.proxy.port)) as client:
            client.sendall(b"PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + bytes(400))
            self.await_(lambda: sum(each.sent for each in self.proxy.requests()) == 400)
        self.proxy.await_quiet(seconds=30)
        (request,) = self.proxy.requests()
        self.assertIsNone(request.status)
        self.assertIsNotNone(request.ended)

    def test_what_was_sent_is_known_before_the_answer_is_passed_on(self):
        seen = []
        self.proxy.answer_gate = lambda request: seen.append((request.operation, request.sent, request.status))
        self.send("PUT", "/b/k", body=b"abc", headers={"Content-Length": "3"})
        self.assertEqual(seen, [("PutObject", 3, 200)])

    def test_an_expected_continue_is_no_answer(self):
        headers = {"Content-Length": "3", "Expect": "100-continue"}
        _, echoed = self.send("PUT", "/b/k", body=b"abc", headers=headers)
        self.assertEqual(echoed, b"abc")
        self.assertEqual([each.status for each in self.proxy.requests()], [200])


if __name__ == "__main__":
    unittest.main()
