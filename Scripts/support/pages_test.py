"""That what writer.c may have left at one moment passes, and every mixture is found out."""

import struct
import unittest
import zlib

import pages


def page(generation, number, total, file=7):
    head = pages.HEAD.pack(pages.MAGIC, file, generation, number, total)
    body = head + struct.pack("<Q", generation * 31 + number) * ((pages.SUM_AT - len(head)) // 8)
    body += bytes(pages.SUM_AT - len(body))
    return body + zlib.crc32(body).to_bytes(4, "little")


def version(generation, total=4):
    return [page(generation, number, total) for number in range(total)]


def torn(content, kind):
    return pages.look([b"".join(content)], kind, 7).torn


class Look(unittest.TestCase):
    def test_one_generation_is_whole_however_the_bytes_come(self):
        content = b"".join(version(3))
        for length in (1, 1000, 4096, 5000, len(content)):
            blocks = [content[at : at + length] for at in range(0, len(content), length)]
            sight = pages.look(blocks, "closing", 7)
            self.assertEqual((sight.torn, sight.size, sight.generation), ("", len(content), 3))

    def test_two_generations_are_torn_in_either_order(self):
        for old, new in ((1, 2), (2, 1)):
            self.assertTrue(torn(version(old)[:2] + version(new)[2:], "closing"))
            self.assertTrue(torn(version(old)[:2] + version(new)[2:], "single-write"))

    def test_less_than_a_generation_is_torn(self):
        self.assertTrue(torn(version(1)[:3], "closing"))
        self.assertTrue(torn([*version(1), b"x"], "closing"))
        self.assertTrue(torn([], "closing"))

    def test_a_page_that_is_mixed_in_itself_is_torn(self):
        old, new = version(1), version(2)
        mixed = new[1][:2048] + old[1][2048:]
        for kind in pages.KINDS:
            self.assertIn("page 1", torn([old[0], mixed, *old[2:]], kind))

    def test_a_page_of_another_place_or_file_is_torn(self):
        one = version(1)
        self.assertTrue(torn([one[0], one[2], one[1], one[3]], "closing"))
        self.assertTrue(torn([page(1, number, 4, file=8) for number in range(4)], "closing"))

    def test_of_a_mapped_file_new_pages_come_before_old_ones_only(self):
        old, new = version(4), version(5)
        sight = pages.look([*new[:1], *old[1:]], "mapped", 7)
        self.assertEqual((sight.torn, sight.is_between), ("", True))
        self.assertTrue(torn(old[:1] + new[1:], "mapped"))
        self.assertTrue(torn(new[:1] + old[1:2] + new[2:], "mapped"))
        self.assertTrue(torn(new[:1] + version(3)[1:], "mapped"))

    def test_every_prefix_of_an_appended_stream_passes(self):
        stream = b"".join(pages.page_of_stream(number, 7) for number in range(3))
        for size in (0, 1, 50, 4095, 4096, 5000, len(stream)):
            self.assertEqual(torn([stream[:size]], "appending"), "", size)
        self.assertTrue(torn([stream[:5000], bytes(10)], "appending"))
        self.assertTrue(torn([stream[4096:]], "appending"))


if __name__ == "__main__":
    unittest.main()
