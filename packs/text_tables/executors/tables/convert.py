"""From one format to another."""

import tables


def main(source, to, numbers, result, **options):
    kind = tables.format_of("", to)
    columns, rows = tables.read(source, options.get("from"))
    with open(result, "w", encoding="utf-8", newline="") as file:
        tables.write(columns, rows, kind, file, numbers)
    print(f"{len(rows)} rows, {len(columns)} columns: {result}")
