"""That every version of a file is known for whole, and every half, mixture and damage is found out."""

import random
import unittest

import chaoscontent as content
import chaosledger

NAME, SIZE = "run/step-1/model.bin", content.fitting(3 * content.BLOCK + 100)


def problem(data):
    return content.read(data).problem.partition(":")[0]


class Blocks(unittest.TestCase):
    def test_a_whole_version_names_itself(self):
        for size in (content.HEAD.size, 1000, content.BLOCK, content.BLOCK + content.HEAD.size, SIZE):
            reading = content.read(content.whole(NAME, 5, size))
            self.assertEqual((reading.problem, reading.version, reading.name), ("", 5, content.tag(NAME).hex()), size)
            self.assertEqual(len(content.whole(NAME, 5, size)), size)

    def test_no_size_leaves_a_block_without_room_for_its_head(self):
        for size in range(0, 2 * content.BLOCK + 100, 7):
            fitting = content.fitting(size)
            self.assertEqual(len(content.whole(NAME, 1, fitting)), fitting)
            self.assertGreaterEqual(fitting, size)

    def test_every_prefix_is_found_out(self):
        data = content.whole(NAME, 1, SIZE)
        for length in (1, content.HEAD.size, content.BLOCK - 1, content.BLOCK, 2 * content.BLOCK, SIZE - 1):
            self.assertIn(problem(data[:length]), ("half", "torn", "unknown"), length)
        self.assertEqual(problem(data[: content.BLOCK]), "half")

    def test_two_versions_or_files_together_are_mixed(self):
        old, new = content.whole(NAME, 1, SIZE), content.whole(NAME, 2, SIZE)
        other = content.whole("other", 1, SIZE)
        for data in (new[: content.BLOCK] + old[content.BLOCK :], old[: content.BLOCK] + other[content.BLOCK :]):
            self.assertEqual(problem(data), "mixed")

    def test_a_change_of_one_bit_anywhere_is_found_out(self):
        data, source = content.whole(NAME, 1, SIZE), random.Random(1)
        for _ in range(200):
            changed = bytearray(data)
            changed[source.randrange(SIZE)] ^= 1 << source.randrange(8)
            self.assertTrue(problem(bytes(changed)))

    def test_blocks_in_another_order_or_doubled_are_found_out(self):
        first, second, *_ = content.blocks(NAME, 1, 3 * content.BLOCK)
        self.assertEqual(problem(second + first + content.block(NAME, 1, 2, 3 * content.BLOCK)), "torn")
        self.assertTrue(problem(content.whole(NAME, 1, SIZE) + first))

    def test_nothing_and_foreign_bytes_are_no_version(self):
        self.assertEqual(content.read(b"").kind, "empty")
        for data in (b"", b"<html>Welcome</html>" * 20, bytes(5000)):
            self.assertTrue(content.read(data).problem)


class Logs(unittest.TestCase):
    def test_every_prefix_is_a_true_state(self):
        data = content.lines("train.log", 0, 5)
        for length in range(1, len(data) + 1):
            reading = content.read(data[:length])
            self.assertEqual((reading.problem, reading.version), ("", length), length)

    def test_another_generation_or_line_within_is_found_out(self):
        old, new = content.lines("train.log", 0, 5), content.lines("train.log", 1, 5)
        self.assertTrue(problem(old[: content.LINE + 1] + new[content.LINE + 1 :]))
        self.assertTrue(problem(old[: content.LINE + 1] + old[2 * (content.LINE + 1) :]))
        self.assertTrue(problem(old[: content.LINE + 1] + bytes(10)))


class Markers(unittest.TestCase):
    def test_a_marker_names_its_files_and_seals_itself(self):
        files = {NAME: {"version": 1, "bytes": SIZE, "sha256": "x"}}
        data = content.marker("latest", 3, files)
        reading = content.read(data)
        self.assertEqual((reading.problem, reading.version, reading.files), ("", 3, files))
        for changed in (data[:-10], data.replace(b'"version": 1', b'"version": 2'), b"{}"):
            self.assertTrue(content.read(changed).problem)


class Ledger(unittest.TestCase):
    def setUp(self):
        self.ledger = chaosledger.Ledger()

    def close(self, path, version=1):
        self.ledger.opened(path, path)
        self.ledger.closed(path, version)

    def test_what_is_open_is_not_settled_and_does_not_wait(self):
        self.close("a")
        self.ledger.opened("b", "b")
        self.assertEqual(self.ledger.settled(), {"a": 1})
        self.ledger.opened("a", "a")
        self.assertEqual(self.ledger.settled(), {})
        self.assertFalse(self.ledger.waits("a", 1))
        self.ledger.closed("a", 2)
        self.assertTrue(self.ledger.waits("a", 1))

    def test_a_renamed_directory_takes_its_files_along(self):
        self.ledger.opened("tmp/a", "final/a")
        self.ledger.closed("tmp/a", 4)
        self.ledger.moved("tmp", "final")
        self.assertEqual(self.ledger.settled(), {"final/a": 4})
        self.assertTrue(self.ledger.is_leaving("tmp/a"))
        self.assertEqual(self.ledger.name_of("final/a"), {"final/a"})

    def test_a_removed_directory_leaves_with_all_below_it(self):
        self.close("d/a")
        self.close("dd")
        self.ledger.goes("d")
        self.assertEqual(self.ledger.settled(), {"dd": 1})
        self.assertTrue(self.ledger.is_leaving("d/a"))
        self.assertFalse(self.ledger.is_leaving("dd"))

    def test_classes_by_name(self):
        for name in ("a/train.log", "x.csv", "tb/events.out.tfevents.1.host", "run.wandb"):
            self.assertTrue(chaosledger.is_append(name), name)
        for name in ("a.log.bin", "latest", "events.outer"):
            self.assertFalse(chaosledger.is_append(name), name)
        self.assertTrue(chaosledger.is_marker("run/latest") and chaosledger.is_marker("s/model.index.json"))
        self.assertFalse(chaosledger.is_marker("run/latest.tmp"))


if __name__ == "__main__":
    unittest.main()
