"""Finds links that lead nowhere, in the README, the changelog and the pages of the documentation. Used by Scripts/lint.

    python3 Scripts/support/links.py    exits with 1 if there are any

A page of the documentation links to another one by `<doc:Semantics>` or `<doc:Semantics#Deletes>`, other files by `[text](path)`, and a part of
itself by `[text](#part)`. Paths in code marks (`Sources/...`, `Scripts/...`, `Tests/...`) count as links too: they are how the pages name
files. The page Troubleshooting quotes messages: each must stand in the program's own source.
"""

import pathlib
import re
import sys

ARTICLE = re.compile(r"<doc:([^>#]+)(?:#([^>]+))?>")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?[^)]*\)")
PATH = re.compile(r"`((?:Sources|Scripts|Tests|\.ci)/[\w@./+-]*)[^`]*`")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
# A row's first column with its quotations, without header and rule.
FIRST_COLUMN = re.compile(r"^\| ([^|\n]+) \|", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")
TROUBLES = "Troubleshooting.md"


def check(root):
    problems = []
    pages = sorted(root.glob("Sources/*/*.docc/*.md"))
    for page in [root / "README.md", root / "CHANGELOG.md", *pages]:
        articles = {each.stem: anchors(each.read_text(encoding="utf-8")) for each in page.parent.glob("*.md")}
        problems += dead_links(
            str(page.relative_to(root)), page.read_text(encoding="utf-8"), articles,
            lambda path, page=page: (page.parent / path).exists(), lambda path: (root / path).exists(),
        )
        if page.name == TROUBLES:
            sources = "\n".join(each.read_text(encoding="utf-8") for each in sorted(root.glob("Sources/**/*.swift")))
            problems += strange_messages(str(page.relative_to(root)), page.read_text(encoding="utf-8"), sources)
    return problems


def anchors(text):
    """The parts of a page that a link can name: headings, as DocC and as GitHub write them."""
    found = set()
    for each in HEADING.finditer(text):
        plain = re.sub(r"[`*]", "", each[1])
        found |= {plain.replace(" ", "-"), re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")}
    return found


def dead_links(name, text, articles, is_beside, is_in_project):
    """What a page names and is not there; `articles` has the anchors of each page, `is_beside` answers for paths relative to the page."""
    found = []
    for each in ARTICLE.finditer(text):
        if each[1] not in articles:
            found.append((each, f"no page is called {each[1]}"))
        elif each[2] and each[2] not in articles[each[1]]:
            found.append((each, f"the page {each[1]} has no part {each[2]}"))
    own = anchors(text)
    for each in LINK.finditer(text):
        if each[1] and "://" not in each[1] and not is_beside(each[1]):
            found.append((each, f"{each[1]} is not there"))
        elif not each[1] and each[2] and each[2] not in own:
            found.append((each, f"this page has no part {each[2]}"))
    found += [(each, f"{each[1]} is not there") for each in PATH.finditer(text) if not is_in_project(each[1])]
    return [f"{name}:{text.count(chr(10), 0, each.start()) + 1}: {problem}" for each, problem in found]


def strange_messages(name, text, sources):
    """Messages that the page explains and the program does not have. `…` stands for what a message fills in."""
    problems = []
    for row in FIRST_COLUMN.finditer(text):
        for quoted in QUOTED.findall(row[1]):
            pieces = [each.strip() for each in quoted.split("…") if len(each.strip()) > 3]
            for piece in pieces:
                if piece not in sources and piece not in ELSEWHERE:
                    line = text.count(chr(10), 0, row.start()) + 1
                    problems.append(f"{name}:{line}: no message of the program has the words “{piece}”")
    return problems


# Texts that come from the system and not from the program.
ELSEWHERE = {"Watchdog timeout"}


if __name__ == "__main__":
    all_problems = check(pathlib.Path(__file__).resolve().parent.parent.parent)
    for line in all_problems:
        print(line)
    sys.exit(1 if all_problems else 0)
