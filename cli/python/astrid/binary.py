"""The ``astrid`` program: where it is, and what it answers."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Mapping, Optional, Sequence, Tuple

#: The version of the documents that this package reads. Fields are only ever added to it.
FORMAT_VERSION = 1


class AstridError(Exception):
    """The program refused, with the class of its refusal and what to do next."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "failed",
        code: int = 1,
        hint: Optional[str] = None,
        reasons: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        #: The class of the refusal as a word, such as ``invalid``.
        self.kind = kind
        #: The exit code of the program.
        self.code = code
        #: What to do next, when the program knows.
        self.hint = hint
        #: Why, line by line.
        self.reasons: Tuple[str, ...] = tuple(reasons)

    def __str__(self) -> str:
        lines = [self.message, *(f"  {reason}" for reason in self.reasons)]
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)


class ProgramNotFound(AstridError):
    """There is no ``astrid`` program to ask."""

    #: What a shell answers with when it finds no program.
    EXIT_CODE = 127

    def __init__(self, message: str) -> None:
        super().__init__(
            message,
            kind="program-not-found",
            code=self.EXIT_CODE,
            hint="install astrid, put it on PATH, or set ASTRID_BIN to its absolute path",
        )


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def find(environment: Optional[Mapping[str, str]] = None) -> str:
    """The absolute path of the program: ``ASTRID_BIN``, or ``astrid`` in an absolute folder of ``PATH``.

    A relative entry of ``PATH`` is passed over: what is run must not depend on the folder of the caller.
    """
    environment = os.environ if environment is None else environment
    named = environment.get("ASTRID_BIN", "")
    if named:
        if not os.path.isabs(named):
            raise ProgramNotFound(f"ASTRID_BIN is `{named}`, which is no absolute path")
        if not _is_program(named):
            raise ProgramNotFound(f"ASTRID_BIN is `{named}`, which is no program")
        return named
    for folder in environment.get("PATH", "").split(os.pathsep):
        candidate = os.path.join(folder, "astrid")
        if os.path.isabs(folder) and _is_program(candidate):
            return candidate
    raise ProgramNotFound("there is no `astrid` on PATH, and ASTRID_BIN is not set")


def ask(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Runs the program with ``--json`` and gives its document.

    Raises ``AstridError`` with the program's own words when it refuses.
    """
    done = subprocess.run(
        [find(), *arguments, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    try:
        document = json.loads(done.stdout.decode("utf-8"))
    except ValueError:
        document = None
    if done.returncode != 0:
        raise _refusal(document, done.returncode, done.stderr.decode("utf-8", "replace"))
    if not isinstance(document, dict):
        raise AstridError("the program answered with something that is no JSON document")
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        raise AstridError(
            f"the program answers with format {version!r}; this package reads {FORMAT_VERSION}",
            hint="use the Python package that comes with this version of the program",
        )
    return document


def _refusal(document: Any, code: int, said: str) -> AstridError:
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return AstridError(said.strip() or f"the program ended with {code}", code=code)
    reasons = [str(reason) for reason in error.get("reasons", ())]
    for one in error.get("diagnostics", ()):
        reasons.append(f"{one.get('file')}:{one.get('line')}:{one.get('column')}: {one.get('message')}")
    return AstridError(
        str(error.get("message", "")),
        kind=str(error.get("kind", "failed")),
        code=code,
        hint=error.get("hint"),
        reasons=reasons,
    )
