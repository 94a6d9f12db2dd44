"""From collected commits to notes in Markdown."""

import argparse
import re

GROUPS = {
    "feat": "New",
    "fix": "Fixed",
    "perf": "Faster",
    "security": "Security",
    "docs": "Documentation",
    "refactor": "Inside",
    "test": "Inside",
    "tests": "Inside",
    "chore": "Inside",
    "build": "Inside",
    "ci": "Inside",
}
BREAKING = "Breaking"
OTHER = "Other"
SUBJECT = re.compile(r"(?P<area>[A-Za-z][\w ./-]{0,39}?)(?:\((?P<part>[^()]+)\))?(?P<breaks>!)?: +(?P<what>\S.*)")


def records(path):
    """The commits of the file, newest first."""
    with open(path, encoding="utf-8", errors="replace") as file:
        content = file.read()
    for record in content.split("\x1e"):
        fields = record.strip("\n").split("\x1f")
        if len(fields) == 5:
            yield fields


def line(commit, subject, body):
    """The group of a commit, and what the notes say about it."""
    match = SUBJECT.fullmatch(subject)
    area, part, what = (match["area"], match["part"], match["what"]) if match else ("", None, subject)
    breaks = (match and match["breaks"]) or "BREAKING CHANGE:" in body
    group = BREAKING if breaks else GROUPS.get(area.lower(), area[:1].upper() + area[1:] or OTHER)
    where = f"**{part}**: " if part else ""
    if breaks and area and area.lower() not in GROUPS:
        where = f"**{area}**: "
    return group, f"* {where}{what} ({commit})"


def order(group):
    """Breaking first, known groups in their order, then others by name, and at last what says nothing."""
    known = [BREAKING, *dict.fromkeys(GROUPS.values())]
    if group == OTHER:
        return len(known) + 1, group
    return (known.index(group), group) if group in known else (len(known), group)


def render(title, commits):
    """The notes."""
    groups, authors = {}, set()
    for commit, _, author, subject, body in commits:
        group, text = line(commit, subject, body)
        groups.setdefault(group, []).append(text)
        authors.add(author)
    out = [f"# {title}", ""]
    if not groups:
        out += ["Nothing changed.", ""]
    for group in sorted(groups, key=order):
        out += [f"## {group}", "", *groups[group], ""]
    if authors:
        out += [f"By {', '.join(sorted(authors))}.", ""]
    return "\n".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", required=True)
    parser.add_argument("--title", default="Changes")
    parser.add_argument("--notes", required=True)
    given = parser.parse_args()
    notes = render(given.title, records(given.commits))
    with open(given.notes, "w", encoding="utf-8") as file:
        file.write(notes)
    print(given.notes)


if __name__ == "__main__":
    main()
