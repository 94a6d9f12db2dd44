"""What is in each column."""

from collections import Counter

import tables


def column(values):
    """One column."""
    there = [value for value in values if tables.text(value).strip()]
    found = {"values": len(there), "empty": len(values) - len(there), "distinct": len({tables.text(one) for one in there})}
    numbers = [tables.number(value) for value in there]
    if there and None not in numbers:
        found.update(min=min(numbers), max=max(numbers), mean=round(sum(numbers) / len(numbers), 6))
    elif there:
        # The first of those that are as frequent, in the order of the table.
        common, times = Counter(tables.text(value) for value in there).most_common(1)[0]
        found.update(common=common, times=times)
    return found


def main(source, **options):
    columns, rows = tables.read(source, options.get("from"))
    return {"rows": len(rows), "columns": {name: column([row.get(name) for row in rows]) for name in columns}}
