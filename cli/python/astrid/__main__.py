"""``python3 -m astrid …`` is ``astrid …``: this process becomes the program, so its exit code is the program's."""

from __future__ import annotations

import os
import sys

from .binary import ProgramNotFound, find


def main() -> int:
    try:
        program = find()
    except ProgramNotFound as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(program, ["astrid", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
