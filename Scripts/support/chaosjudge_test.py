"""That the judge says each rule that is broken, and nothing where none is. The server is a dictionary."""

import gzip
import hashlib
import io
import json
import pathlib
import tempfile
import time
import unittest

import chaoscontent as content
import chaosend
from chaosjudge import Judge
from chaosledger import Ledger
from chaosend import Weight
from chaosproxy import Publication

SIZE = content.fitting(2 * content.BLOCK)
SHARD, LATEST = "run/step-1/model.bin", "run/latest"


class NotThere(Exception):
    response = {"ResponseMetadata": {"HTTPStatusCode": 404}}


class Server:
    """What the judge asks of boto3."""

    class exceptions:
        NoSuchKey = ClientError = NotThere

    def __init__(self):
        self.objects, self.uploads = {}, []

    def get_paginator(self, operation):
        server = self

        class Pages:
            def paginate(self, **_):
                if operation == "list_multipart_uploads":
                    return [{"Uploads": [{"Key": key} for key in server.uploads]}]
                return [{"Contents": [{"Key": key, "ETag": etag(body)} for key, body in server.objects.items()]}]

        return Pages()

    def head_object(self, Bucket, Key):
        if Key not in self.objects:
            raise NotThere
        return {"ETag": etag(self.objects[Key])}

    def get_object(self, Bucket, Key):
        return {**self.head_object(Bucket, Key), "Body": io.BytesIO(self.objects[Key])}


def etag(body):
    return f'"{hashlib.md5(body).hexdigest()}"'


class Journal:
    def note(self, text):
        pass


class JudgeCase(unittest.TestCase):
    def setUp(self):
        self.tree = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "tree"
        self.tree.mkdir()
        self.server, self.ledger = Server(), Ledger()
        self.judge = Judge(self.server, "bucket", "", str(self.tree), self.ledger, Journal())

    def write(self, path, version=1):
        """Here, closed."""
        self.ledger.opened(path, path)
        (self.tree / path).parent.mkdir(parents=True, exist_ok=True)
        (self.tree / path).write_bytes(content.whole(path, version, SIZE))
        self.ledger.closed(path, version)

    def put(self, path, version=1):
        self.server.objects[path] = content.whole(path, version, SIZE)

    def mark(self, version, named, key=LATEST):
        self.ledger.opened(key, key)
        self.ledger.closed(key, version)
        body = content.whole(SHARD, named, SIZE)
        facts = {SHARD: {"version": named, "bytes": SIZE, "sha256": content.digest(body)}}
        self.server.objects[key] = content.marker(key, version, facts)

    def rules(self):
        return [each.rule for each in self.judge.violations]


class Reading(JudgeCase):
    def test_whole_versions_that_only_grow_are_no_violation(self):
        self.write(SHARD)
        for version in (1, 2, 3):
            self.put(SHARD, version)
            self.mark(version, version)
            self.judge.look()
        self.assertEqual(self.rules(), [])

    def test_half_mixed_damaged_and_empty_objects(self):
        self.write(SHARD)
        old, new = content.whole(SHARD, 1, SIZE), content.whole(SHARD, 2, SIZE)
        bodies = {"half": old[: content.BLOCK], "mixed": new[: content.BLOCK] + old[content.BLOCK :]}
        bodies |= {"torn": old[:-1] + b"?", "empty": b""}
        for rule, body in bodies.items():
            self.server.objects[SHARD] = body
            self.judge.look()
            self.assertEqual(self.rules()[-1], rule)

    def test_a_log_may_be_any_prefix_and_a_data_file_may_not(self):
        for path in ("train.log", "model.bin"):
            self.ledger.opened(path, path)
            self.server.objects[path] = content.lines(path, 0, 3)[:200]
        self.judge.look()
        self.assertEqual([(each.rule, each.facts[:9]) for each in self.judge.violations], [("foreign", "model.bin")])

    def test_another_files_content_is_foreign(self):
        self.write(SHARD)
        self.server.objects[SHARD] = content.whole("other", 1, SIZE)
        self.put("never-written", 1)
        self.judge.look()
        self.assertEqual(self.rules(), ["foreign", "foreign"])

    def test_an_older_version_after_a_newer_one(self):
        self.write(SHARD)
        for version in (2, 1):
            self.put(SHARD, version)
            self.judge.look()
        self.assertEqual(self.rules(), ["backwards"])

    def test_a_deleted_object_whose_file_is_here(self):
        for path in ("kept", "removed"):
            self.write(path)
            self.put(path)
        self.judge.look()
        self.ledger.goes("removed")
        (self.tree / "removed").unlink()
        self.server.objects.clear()
        self.judge.look()
        self.assertEqual([(each.rule, each.facts[:4]) for each in self.judge.violations], [("deleted", "kept")])

    def withdraw(self):
        """A marker whose file is here goes from S3."""
        self.write(SHARD)
        self.put(SHARD, 1)
        self.mark(1, 1)
        (self.tree / LATEST).write_bytes(b"1")
        self.judge.look()
        del self.server.objects[LATEST]
        self.judge.look()

    def test_a_marker_goes_while_its_data_are_replaced(self):
        self.withdraw()
        self.put(SHARD, 2)
        self.judge.look()
        self.mark(2, 2)
        self.judge.stop()
        self.assertEqual(self.rules(), [])

    def test_a_marker_goes_while_its_data_are_sent_again(self):
        for operation, rules in (("CopyObject", ["deleted"]), ("PutObject", [])):
            self.setUp()
            self.withdraw()
            self.judge.publications = [Publication(time.time(), operation, SHARD, "1", SIZE)]
            self.judge.stop()
            self.assertEqual(self.rules(), rules, operation)

    def test_a_marker_that_goes_although_no_data_are_replaced(self):
        self.withdraw()
        self.put("run/optimizer.state", 2)  # `latest` names directories
        self.ledger.opened("run/optimizer.state", "run/optimizer.state")
        self.mark(1, 1)
        self.judge.look()
        self.assertEqual(self.rules(), ["deleted"])

    def test_a_marker_that_stays_away(self):
        self.withdraw()
        self.assertEqual(self.rules(), [])
        self.judge.stop()
        self.assertEqual(self.rules(), ["deleted"])

    def test_a_marker_to_nothing_or_to_an_older_version(self):
        self.write(SHARD)
        self.mark(1, 1)
        self.judge.look()
        self.assertEqual(self.rules(), ["marker"])
        self.put(SHARD, 1)
        self.mark(2, 2)
        self.judge.look()
        self.assertEqual(self.rules(), ["marker", "marker"])

    def test_a_marker_whose_data_go_afterwards(self):
        self.write(SHARD)
        self.put(SHARD)
        self.mark(1, 1)
        self.judge.look()
        self.assertEqual(self.rules(), [])
        self.ledger.goes("run/step-1")
        del self.server.objects[SHARD]
        self.judge.look()
        self.assertEqual(self.rules(), ["marker"])

    def test_an_index_in_a_directory_that_is_removed_goes_in_any_order(self):
        self.write(SHARD)
        self.put(SHARD)
        self.mark(1, 1, key="run/step-1/model.index.json")
        self.judge.look()
        self.ledger.goes("run/step-1")
        del self.server.objects[SHARD]
        self.judge.look()
        self.assertEqual(self.rules(), [])

    def test_missing_is_what_is_older_and_still_has_to_come(self):
        self.write("a", 2)
        self.write("b", 2)
        self.put("a", 1)
        self.put("b", 3)
        self.judge.look()
        self.assertEqual(self.judge.missing({"a": 2, "b": 2, "gone": 1}), ["a"])


class Ending(JudgeCase):
    def end(self, status, said="", expected=(0,)):
        chaosend.end_of_mirror(self.judge, self.tree, status, said, expected)
        return self.rules()

    def test_equal_and_zero_is_no_violation(self):
        self.write(SHARD)
        self.put(SHARD)
        self.assertEqual(self.end(0), [])

    def test_zero_and_different(self):
        self.write(SHARD, 2)
        self.put(SHARD, 1)
        self.assertEqual(self.end(0), ["unequal"])

    def test_zero_and_more_on_the_server(self):
        self.ledger.opened("old", "old")
        self.put("old")
        self.assertEqual(self.end(0), ["unequal"])

    def test_one_without_a_word_or_without_a_reason(self):
        self.write(SHARD)
        self.put(SHARD)
        self.assertEqual(self.end(1, "s3mirror: watch: exit: 0 files, 0 B published; 1 request"), ["status", "silent"])

    def test_what_is_said_of_a_path_is_no_report_of_a_pass(self):
        reports = [
            "s3mirror: watch: tick 12: 1 file, 123.7 kB published; 3 requests (1 CompleteMultipartUpload)",
            "s3mirror: watch: exit: 8 files, 1.3 MB published, 1 waiting, 1 failed; 9 requests (8 PutObject)",
            "s3mirror: watch: 2 symbolic links and special files left out",
        ]
        trouble = "s3mirror: watch: not published: run/latest: it changed while it was read"
        self.assertEqual(chaosend.troubles("\n".join([*reports, trouble])), [trouble])

    def test_one_after_the_fault_was_over(self):
        self.write(SHARD)
        self.assertEqual(self.end(1, "s3mirror: watch: run/step-1/model.bin: no space"), ["unpublished"])

    def test_one_within_the_fault_is_allowed_if_it_says_why(self):
        self.write(SHARD)
        self.assertEqual(self.end(1, "s3mirror: watch: run/step-1/model.bin: no space", (0, 1)), [])

    def test_a_signal_is_a_crash(self):
        self.assertEqual(self.end(-6), ["crash"])

    def test_an_open_upload_after_zero(self):
        self.server.uploads.append("a")
        self.assertEqual(self.end(0), ["uploads"])

    def test_an_upload_that_a_kill_left_and_that_is_reported(self):
        self.server.uploads.append("a")
        (key,) = chaosend.open_uploads(self.judge)
        said = f"s3mirror: watch: the multipart upload 1 of {key} stays: it may be another writer's. If it is not, …"
        self.judge.left_by_kill.add(key)
        self.assertEqual(self.end(0, said), [])
        self.assertEqual(self.end(0), ["uploads"])

    def test_an_upload_that_no_kill_left(self):
        self.server.uploads.append("a")
        (key,) = chaosend.open_uploads(self.judge)
        self.assertEqual(self.end(0, f"the multipart upload 1 of {key} stays: it may be another writer's"), ["uploads"])


class Log(JudgeCase):
    def judged(self, *records, raw=None, published=()):
        directory = self.tree.parent / "log"
        directory.mkdir(exist_ok=True)
        text = "".join(json.dumps(each) + "\n" for each in records)
        (directory / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()) if raw is None else raw)
        chaosend.log_is_true(self.judge, directory, published, False, "")
        return self.rules()

    def record(self, size=SIZE, etag="e"):
        time = "2026-01-01T00:00:00.000Z"
        return {"time": time, "operation": "upload", "path": "a", "bytes": size, "etag": etag, "outcome": "done"}

    def test_what_the_server_answered_is_true(self):
        self.assertEqual(self.judged(self.record(), published=[Publication(0, "PutObject", "a", "e", SIZE)]), [])

    def test_an_etag_that_the_server_never_gave(self):
        self.assertEqual(self.judged(self.record(etag="x"), published=[Publication(0, "PutObject", "a", "e", SIZE)]), ["log"])

    def test_another_number_of_bytes(self):
        self.assertEqual(self.judged(self.record(1), published=[Publication(0, "PutObject", "a", "e", SIZE)]), ["log"])

    def test_bytes_that_the_server_copied_were_not_sent(self):
        published = [Publication(0, "CompleteMultipartUpload", "a", "e", SIZE - 5)]
        self.assertEqual(self.judged(self.record() | {"bytesCopied": 5}, published=published), [])
        self.assertEqual(self.judged(self.record() | {"bytesCopied": 6}, published=published), ["log"])

    def test_a_file_that_zcat_cannot_read(self):
        self.assertIn("log", self.judged(raw=gzip.compress(b"{}\n" * 100)[:-9]))


class Resources(unittest.TestCase):
    def setUp(self):
        self.said = []

    def say(self, rule, facts):
        self.said.append(rule)

    def test_each_bound(self):
        chaosend.bounded(self.say, [Weight(0, 1 << 20, 10, 4)])
        self.assertEqual(self.said, [])
        chaosend.bounded(self.say, [Weight(0, 1 << 30, 1000, 300)])
        self.assertEqual(self.said, ["memory", "descriptors", "threads"])

    def test_what_stays_after_faults(self):
        before = [Weight(0, 1 << 20, 10, 4)]
        chaosend.flat(self.say, before, [Weight(1, 2 << 20, 12, 5)])
        self.assertEqual(self.said, [])
        chaosend.flat(self.say, before, [Weight(1, 90 << 20, 60, 30)])
        self.assertEqual(self.said, ["memory", "descriptors", "threads"])

    def test_lines(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "out"
            path.write_text("a\n" * chaosend.LINES)
            chaosend.few_lines(self.say, [path])
            self.assertEqual(self.said, [])
            chaosend.few_lines(self.say, [path, path])
            self.assertEqual(self.said, ["lines"])


if __name__ == "__main__":
    unittest.main()
