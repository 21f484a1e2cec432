"""Finds links that lead nowhere, in the README, the changelog and the pages of the documentation. Used by Scripts/lint.

    python3 Scripts/support/links.py    exits with 1 if there are any

A page of the documentation links to another one by `<doc:Semantics>`, other files by `[text](path)`. Paths in code marks
(`Sources/...`, `Scripts/...`, `Tests/...`) count as links too: they are how the pages name files.
"""

import pathlib
import re
import sys

ARTICLE = re.compile(r"<doc:([^>#]+)[^>]*>")
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
PATH = re.compile(r"`((?:Sources|Scripts|Tests|\.ci)/[\w./+-]*)[^`]*`")


def check(root):
    problems = []
    pages = sorted(root.glob("Sources/*/*.docc/*.md"))
    for page in [root / "README.md", root / "CHANGELOG.md", *pages]:
        articles = {each.stem for each in page.parent.glob("*.md")}
        problems += dead_links(
            str(page.relative_to(root)), page.read_text(encoding="utf-8"), articles,
            lambda path, page=page: (page.parent / path).exists(), lambda path: (root / path).exists(),
        )
    return problems


def dead_links(name, text, articles, is_beside, is_in_project):
    """What a page names and is not there; `is_beside` answers for paths relative to the page."""
    found = [(each, f"no page is called {each[1]}") for each in ARTICLE.finditer(text) if each[1] not in articles]
    for each in LINK.finditer(text):
        if "://" not in each[1] and not is_beside(each[1]):
            found.append((each, f"{each[1]} is not there"))
    found += [(each, f"{each[1]} is not there") for each in PATH.finditer(text) if not is_in_project(each[1])]
    return [f"{name}:{text.count(chr(10), 0, each.start()) + 1}: {problem}" for each, problem in found]


if __name__ == "__main__":
    all_problems = check(pathlib.Path(__file__).resolve().parent.parent.parent)
    for line in all_problems:
        print(line)
    sys.exit(1 if all_problems else 0)
