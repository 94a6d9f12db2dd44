"""Rows that fit, columns that are wanted."""

import operator
import re
import sys

import tables

COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
CONDITION = re.compile(r"\s*(?P<column>[^=!<>~]+?)\s*(?P<compare>!=|<=|>=|=|<|>|~)\s*(?P<value>.*?)\s*$", re.DOTALL)


def conditions(written, columns):
    """The conditions of a `where`."""
    found = []
    for part in re.split(r"\s+and\s+", written.strip(), flags=re.IGNORECASE):
        match = CONDITION.match(part)
        if not match:
            tables.fail(f"`{part}` is no condition: write a column, one of = != < <= > >= ~, and a value")
        value = match["value"]
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found.append((known(match["column"], columns), match["compare"], value))
    return found


def known(name, columns):
    """A column that is there."""
    if name not in columns:
        tables.fail(f"there is no column `{name}`: there are {', '.join(columns)}")
    return name


def fits(row, column, compare, wanted):
    """Whether a row has what is wanted."""
    have = row.get(column)
    if compare == "~":
        return wanted.casefold() in tables.text(have).casefold()
    numbers = tables.number(have), tables.number(wanted)
    if None in numbers:
        return COMPARE[compare](tables.text(have), wanted)
    return COMPARE[compare](*numbers)


def order(column):
    """Numbers before texts, each in its own order."""

    def key(row):
        number = tables.number(row.get(column))
        return (number is None, 0 if number is None else number, tables.text(row.get(column)))

    return key


def main(source, to, where="", select="", sort="", limit=None, **options):
    kind = tables.format_of("", to)
    columns, rows = tables.read(source, options.get("from"))
    for condition in conditions(where, columns) if where.strip() else []:
        rows = [row for row in rows if fits(row, *condition)]
    if sort:
        rows.sort(key=order(known(sort.removeprefix("-"), columns)), reverse=sort.startswith("-"))
    if limit is not None:
        rows = rows[: max(limit, 0)]
    if select:
        columns = [known(name.strip(), columns) for name in select.split(",")]
    tables.write(columns, rows, kind, sys.stdout)
