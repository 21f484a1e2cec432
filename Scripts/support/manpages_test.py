import unittest

import manpages

OPTION = {
    "kind": "option", "names": [{"kind": "long", "name": "max-delete"}], "valueName": "max-delete", "shouldDisplay": True,
    "isRepeating": False, "abstract": "The most deletes of one batch: a number, or none for no bound.",
}
FLAG = {
    "kind": "flag", "names": [{"kind": "long", "name": "quiet"}, {"kind": "short", "name": "q"}], "valueName": "quiet",
    "shouldDisplay": True, "isRepeating": False, "abstract": "Print only what went wrong.",
}
HIDDEN = {**FLAG, "names": [{"kind": "long", "name": "hidden"}], "shouldDisplay": False}
LOCAL = {"kind": "positional", "valueName": "local", "shouldDisplay": True, "isRepeating": False, "abstract": ".hidden first"}
DUMP = {
    "command": {
        "commandName": "s3mirror", "abstract": "Streams.", "discussion": "One.\n\nTwo \\, three.", "arguments": [FLAG],
        "subcommands": [
            {"commandName": "watch", "abstract": "Stream directories.", "arguments": [LOCAL, OPTION, FLAG, HIDDEN]},
            {"commandName": "help", "abstract": "Show help.", "arguments": []},
        ],
    }
}


class ManualPages(unittest.TestCase):
    def setUp(self):
        usages = {"": ["s3mirror <subcommand>"], "watch": ["s3mirror watch LOCAL REMOTE", "s3mirror watch --config FILE"]}
        self.pages = manpages.pages(DUMP, usages, "1.2.3", "2026-01-02")

    def test_there_is_one_page_for_the_program_and_one_for_each_command(self):
        self.assertEqual(sorted(self.pages), ["s3mirror-watch.1", "s3mirror.1"])

    def test_a_page_says_version_and_date(self):
        self.assertIn('.TH "S3MIRROR-WATCH" "1" "2026-01-02" "s3mirror 1.2.3" "User Commands"', self.pages["s3mirror-watch.1"])

    def test_the_name_line_can_be_read_by_apropos(self):
        self.assertIn("s3mirror\\-watch \\- stream directories\n", self.pages["s3mirror-watch.1"])

    def test_every_shown_argument_is_there_and_no_hidden_one(self):
        page = self.pages["s3mirror-watch.1"]
        self.assertIn("\\fB\\-\\-max\\-delete\\fR \\fImax\\-delete\\fR", page)
        self.assertIn("\\fB\\-q\\fR, \\fB\\-\\-quiet\\fR", page)
        self.assertIn("\\fILOCAL\\fR", page)
        self.assertNotIn("hidden\\fR", page)

    def test_text_is_never_a_request_or_an_escape(self):
        self.assertIn("\n\\&.hidden first.\n", self.pages["s3mirror-watch.1"])
        self.assertIn("\nTwo \\e, three.\n", self.pages["s3mirror.1"])

    def test_the_synopsis_has_a_line_for_each_way(self):
        page = self.pages["s3mirror-watch.1"]
        self.assertIn("s3mirror watch LOCAL REMOTE\n.br\ns3mirror watch \\-\\-config FILE", page)

    def test_the_synopsis_is_read_from_the_help(self):
        told = "OVERVIEW: x\n\nUSAGE: s3mirror watch A B\n       s3mirror watch --config F\n\nARGUMENTS:\n"
        self.assertEqual(manpages.usage_of(told), ["s3mirror watch A B", "s3mirror watch --config F"])


if __name__ == "__main__":
    unittest.main()
