"""Tables in text files: a list of column names, and a list of rows, each a dict."""

import csv
import io
import json
import sys

FORMATS = ("csv", "tsv", "json", "jsonl", "md")
NAMES = {"markdown": "md", "ndjson": "jsonl", "tab": "tsv"}


def fail(message):
    """Ends with a line for people."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


def format_of(path, said=None):
    """The format that was said, or that the name of the file says."""
    name = said or path.rpartition(".")[2].lower()
    name = NAMES.get(name, name)
    if name not in FORMATS:
        fail(f"`{name}` is no format of tables: use {', '.join(FORMATS)}")
    return name


def number(value):
    """The number that a value is, or None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, (int, float)):
        return value
    text = str(value).strip()
    # A leading zero is part of a code, and `1_000` is no number outside of Python.
    if not text or "_" in text or (len(text.lstrip("-")) > 1 and text.lstrip("-")[0] == "0" and "." not in text):
        return None
    try:
        found = int(text)
    except ValueError:
        try:
            found = float(text)
        except ValueError:
            return None
    return found if found == found and abs(found) != float("inf") else None


def text(value):
    """A value as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def read(path, said=None):
    """The columns and rows of a file."""
    kind = format_of(path, said)
    with open(path, encoding="utf-8-sig", newline="") as file:
        content = file.read()
    try:
        if kind in ("csv", "tsv"):
            rows = list(csv.reader(io.StringIO(content), delimiter="," if kind == "csv" else "\t", strict=True))
            return from_lists([row for row in rows if row])
        if kind == "md":
            return from_lists(markdown_rows(content))
        if kind == "json":
            rows = json.loads(content)
        else:
            rows = [json.loads(line) for line in content.splitlines() if line.strip()]
    except (ValueError, csv.Error) as error:
        fail(f"{path} can't be read as {kind}: {error}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        fail(f"{path}: a table in JSON is an array of objects")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return columns, rows


def from_lists(lists):
    """A table whose first row has the names."""
    if not lists:
        return [], []
    columns = [name.strip() for name in lists[0]]
    if len(set(columns)) != len(columns):
        fail("two columns have the same name")
    rows = []
    for at, values in enumerate(lists[1:], start=2):
        if len(values) > len(columns):
            fail(f"row {at} has {len(values)} values, and there are {len(columns)} columns")
        rows.append(dict(zip(columns, values + [""] * (len(columns) - len(values)))))
    return columns, rows


def markdown_rows(content):
    """The cells of the first table of a page."""
    rows = []
    for line in content.splitlines():
        line = line.strip()
        if not line.startswith("|"):
            if rows:
                break
            continue
        cells = line.strip("|").replace("\\|", "\0").split("|")
        rows.append([cell.strip().replace("\0", "|") for cell in cells])
    return [row for at, row in enumerate(rows) if at != 1]


def write(columns, rows, kind, file, numbers=True):
    """Writes a table."""
    if kind in ("csv", "tsv"):
        writer = csv.writer(file, delimiter="," if kind == "csv" else "\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([text(row.get(name)) for name in columns] for row in rows)
    elif kind == "md":
        write_markdown(columns, rows, file)
    else:
        plain = [{name: value(row.get(name), numbers) for name in columns} for row in rows]
        if kind == "json":
            json.dump(plain, file, ensure_ascii=False, indent=2)
            file.write("\n")
        else:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in plain)


def value(one, numbers):
    """A value for JSON."""
    found = number(one) if numbers and isinstance(one, str) else None
    return one if found is None else found


def write_markdown(columns, rows, file):
    """Columns of equal width; those of numbers are aligned to the right."""
    cell = lambda one: text(one).replace("|", "\\|").replace("\r", "").replace("\n", "<br>")
    table = [[cell(name) for name in columns]] + [[cell(row.get(name)) for name in columns] for row in rows]
    widths = [max([3] + [len(row[at]) for row in table]) for at in range(len(columns))]
    right = [bool(rows) and all(number(row.get(name)) is not None for row in rows) for name in columns]
    line = lambda cells: "| " + " | ".join(cells) + " |\n"
    pad = lambda row: [one.rjust(width) if to else one.ljust(width) for one, width, to in zip(row, widths, right)]
    file.write(line(pad(table[0])))
    file.write(line(["-" * (width - 1) + (":" if to else "-") for width, to in zip(widths, right)]))
    file.writelines(line(pad(row)) for row in table[1:])
