"""That the bench of networks compares the default with the best of all, and misses no cell."""

import contextlib
import io
import unittest

import benchnetwork


def cell(title, **walls):
    return {"title": title, "clients": {name.replace("_", " "): {"wall": wall} for name, wall in walls.items()}}


class Promises(unittest.TestCase):
    def promises(self, *cells):
        with contextlib.redirect_stdout(io.StringIO()):
            return benchnetwork.promises(list(cells))

    def test_the_default_may_take_a_little_longer_than_the_best(self):
        self.assertEqual(self.promises(cell("a", s3mirror=12.4, s5cmd=10.0), cell("b", s3mirror=0.5, rclone=1.0)), [])

    def test_a_slower_default_and_a_missing_one_are_named(self):
        broken = self.promises(cell("slow", s3mirror=12.6, s5cmd=10.0), cell("absent", s5cmd=1.0))
        self.assertEqual([each.split(":")[0] for each in broken], ["slow", "absent"])
