"""Commits by month and author, and the files that change most."""

import argparse
import json
import subprocess
import sys
from collections import Counter

COMMIT = "\x1e"
FIELD = "\x1f"


def log(repository, since):
    """Commits, newest first: author, month, and (added, removed, path) for each file."""
    command = ["git", "-C", repository, "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", "log"]
    command += ["--no-merges", "--no-renames", "--numstat", f"--pretty=format:{COMMIT}%an{FIELD}%ad", "--date=format:%Y-%m"]
    if since:
        command.append(f"--since={since}")
    ran = subprocess.run(command, capture_output=True, check=False)
    if ran.returncode:
        print(ran.stderr.decode(errors="replace").strip(), file=sys.stderr)
        raise SystemExit(2)
    for block in ran.stdout.decode(errors="replace").split(COMMIT)[1:]:
        head, *lines = block.strip("\n").split("\n")
        author, _, month = head.partition(FIELD)
        files = []
        for line in filter(None, lines):
            added, removed, path = line.split("\t", 2)
            # Binary files have no lines.
            files.append((0 if added == "-" else int(added), 0 if removed == "-" else int(removed), path))
        yield author, month, files


def report(repository, since, top):
    """Everything that is said, as data."""
    months, authors, paths = Counter(), Counter(), Counter()
    lines = {}
    commits = added = removed = 0
    for author, month, files in log(repository, since):
        commits += 1
        months[month] += 1
        authors[author] += 1
        for plus, minus, path in files:
            added, removed = added + plus, removed + minus
            paths[path] += 1
            lines[path] = lines.get(path, 0) + plus + minus
    first = lambda counter: sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:top]
    return {
        "commits": commits,
        "lines_added": added,
        "lines_removed": removed,
        "months": [{"month": month, "commits": count} for month, count in sorted(months.items())],
        "authors": [{"author": author, "commits": count} for author, count in first(authors)],
        "files": [{"path": path, "commits": count, "lines": lines[path]} for path, count in first(paths)],
    }


def table(heading, rows):
    """A Markdown table."""
    cell = lambda value: str(value).replace("|", "\\|")
    out = ["| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading)]
    return out + ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]


def markdown(found):
    """The same for people."""
    out = ["# History", ""]
    out.append(f"{found['commits']} commits, {found['lines_added']} lines added, {found['lines_removed']} removed.")
    out += ["", "## Months", ""] + table(["month", "commits"], [one.values() for one in found["months"]])
    out += ["", "## Authors", ""] + table(["author", "commits"], [one.values() for one in found["authors"]])
    out += ["", "## Files that change most", ""]
    out += table(["file", "commits", "lines"], [one.values() for one in found["files"]])
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", default=".")
    parser.add_argument("--since")
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--format", choices=["md", "json"], default="md")
    parser.add_argument("--report")
    given = parser.parse_args()
    found = report(given.repository, given.since, given.top)
    text = markdown(found) if given.format == "md" else json.dumps(found, ensure_ascii=False, indent=2) + "\n"
    if given.report:
        with open(given.report, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
