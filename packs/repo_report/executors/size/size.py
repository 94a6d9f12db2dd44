"""Files, lines and bytes by kind of file, and the largest files."""

import argparse
import json
import os
import stat
import subprocess
import sys


def tracked(repository):
    """The paths that git tracks, from the folder that was named."""
    command = ["git", "-C", repository, "-c", "core.fsmonitor=false", "ls-files", "-z", "--deduplicate"]
    ran = subprocess.run(command, capture_output=True, check=False)
    if ran.returncode:
        print(ran.stderr.decode(errors="replace").strip(), file=sys.stderr)
        raise SystemExit(2)
    return [os.fsdecode(path) for path in ran.stdout.split(b"\0") if path]


def measure(path):
    """The bytes and lines of a regular file; None for what is none, or gone."""
    try:
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            return None
        with open(path, "rb") as file:
            head = file.read(8000)
            if b"\0" in head:
                return found.st_size, None
            lines = head.count(b"\n")
            while chunk := file.read(1 << 20):
                lines += chunk.count(b"\n")
    except OSError:
        return None
    return found.st_size, lines


def kind_of(path):
    """The extension of a file, or its whole name when it has none."""
    name = os.path.basename(path)
    extension = os.path.splitext(name)[1]
    return extension.lower() if extension else name


def report(repository, top):
    """Everything that is said, as data."""
    kinds, files = {}, []
    for path in tracked(repository):
        measured = measure(os.path.join(repository, path))
        if measured is None:
            continue
        size, lines = measured
        files.append({"path": path, "bytes": size, "lines": lines})
        kind = kinds.setdefault(kind_of(path), {"files": 0, "lines": 0, "bytes": 0})
        kind["files"] += 1
        kind["lines"] += lines or 0
        kind["bytes"] += size
    by_size = lambda one: (-one["bytes"], one.get("path") or one["kind"])
    return {
        "files": len(files),
        "lines": sum(one["lines"] or 0 for one in files),
        "bytes": sum(one["bytes"] for one in files),
        "kinds": sorted(({"kind": name, **kind} for name, kind in kinds.items()), key=by_size)[:top],
        "largest": sorted(files, key=by_size)[:top],
    }


def table(heading, rows):
    """A Markdown table."""
    cell = lambda value: "binary" if value is None else str(value).replace("|", "\\|")
    out = ["| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading)]
    return out + ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]


def markdown(found):
    """The same for people."""
    out = ["# Size", "", f"{found['files']} files, {found['lines']} lines, {found['bytes']} bytes.", ""]
    out += ["## Kinds of files", ""]
    out += table(["kind", "files", "lines", "bytes"], [one.values() for one in found["kinds"]])
    out += ["", "## Largest files", ""]
    out += table(["file", "bytes", "lines"], [one.values() for one in found["largest"]])
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", default=".")
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--format", choices=["md", "json"], default="md")
    parser.add_argument("--report")
    given = parser.parse_args()
    found = report(given.repository, given.top)
    text = markdown(found) if given.format == "md" else json.dumps(found, ensure_ascii=False, indent=2) + "\n"
    if given.report:
        with open(given.report, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
