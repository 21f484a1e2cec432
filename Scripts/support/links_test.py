"""That links which lead nowhere are found, and no others."""

import unittest

from links import dead_links


def dead(text):
    there = {"README.md", "Sources/S3Mirror", "Scripts/test"}
    return dead_links("Page.md", text, {"Semantics"}, there.__contains__, there.__contains__)


class Links(unittest.TestCase):
    def test_what_is_there_passes(self):
        text = "<doc:Semantics> [a](README.md) [b](https://example.com/x) `Scripts/test --filter X` `Sources/S3Mirror`"
        self.assertEqual(dead(text), [])

    def test_each_kind_of_link_is_followed(self):
        for text in ("<doc:Semantic>", "[a](READ.md)", "[a](READ.md#part)", "`Scripts/tests`", "`Scripts/tests --filter X`"):
            [problem] = dead("\n" + text)
            self.assertTrue(problem.startswith("Page.md:2: "), problem)


if __name__ == "__main__":
    unittest.main()
