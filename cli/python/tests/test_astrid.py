"""Against a program that answers what the test says: what is asked of it, and what is made of its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List
from unittest import mock

import astrid
from astrid import binary

PACKAGE = Path(__file__).resolve().parent.parent

TRUST = {
    "sandbox": "none",
    "runs_with_user_process_permissions": True,
    "permission_enforcement": "disclosure_only",
}


def document() -> Dict[str, Any]:
    safety = {"permissions": ["network"], "network": True, "secrets_required": ["API_KEY"], "cost_estimate": ""}
    provenance = {"source_kind": "source", "priority_index": 0, "root": "/p", "manifest_path": "/p/executor.yaml"}
    handle = {
        "canonical_id": "media.render",
        "local_id": "render",
        "pack_id": "media",
        "kind": "executor",
        "name": "Render",
        "version": "1.0.0",
        "provenance": provenance,
        "safety": safety,
        "something_new": 1,
    }
    capability = {"id": "media.render", "capability_type": "executor", "native_kind": "external", "handle": handle}
    permission = {"id": "network", "reason": "Calls an API", "services": ["api.example.org"]}
    pack = {
        "id": "media",
        "name": "Media",
        "version": "1.0.0",
        "root": "/p",
        "source_kind": "source",
        "priority_index": 0,
        "permissions": [permission],
        "permission_ids": ["network"],
        "trust": TRUST,
    }
    return {
        "format_version": 1,
        "executors": [capability],
        "orchestrators": [],
        "elements": [],
        "capabilities": [capability],
        "packs": {"media": pack},
        "refused": [],
    }


class FakeProgram(unittest.TestCase):
    """A program that writes down its arguments, answers, and ends with a code."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="astrid-python-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.program = self.folder / "astrid"
        variables = mock.patch.dict(os.environ, {"ASTRID_BIN": str(self.program)})
        variables.start()
        self.addCleanup(variables.stop)

    def answers(self, text: str, code: int = 0, said: str = "") -> None:
        (self.folder / "answer").write_text(text, encoding="utf-8")
        (self.folder / "said").write_text(said, encoding="utf-8")
        script = (
            "#!/bin/sh\n"
            f"printf '%s\\n' \"$@\" > '{self.folder}/arguments'\n"
            f"cat '{self.folder}/answer'\ncat '{self.folder}/said' >&2\nexit {code}\n"
        )
        self.program.write_text(script, encoding="utf-8")
        self.program.chmod(0o755)

    def arguments(self) -> List[str]:
        return (self.folder / "arguments").read_text(encoding="utf-8").splitlines()


class Discover(FakeProgram):
    def test_both_loops_of_the_promise(self) -> None:
        self.answers(json.dumps(document()))
        inventory = astrid.discover(include_installed=False)
        seen = []
        for pack_id, pack_data in inventory.to_dict()["packs"].items():
            seen.append((pack_id, pack_data["permissions"], pack_data["trust"]))
        permission = {"id": "network", "reason": "Calls an API", "services": ["api.example.org"]}
        self.assertEqual(seen, [("media", [permission], TRUST)])
        for cap in inventory.capabilities:
            self.assertEqual(cap.id, "media.render")
            self.assertEqual(cap.handle.safety.permissions, ("network",))
            self.assertIsInstance(cap.handle.safety.permissions, tuple)
        self.assertEqual(len(inventory.capabilities), 1)
        self.assertEqual(self.arguments(), ["discover", "--no-installed", "--json"])

    def test_everything_that_can_be_asked(self) -> None:
        self.answers(json.dumps(document()))
        astrid.discover(project_root=Path("/a b"), extra_pack_roots=("/one", Path("/two")))
        expected = ["discover", "--project", "/a b", "--extra", "/one", "--extra", "/two", "--json"]
        self.assertEqual(self.arguments(), expected)

    def test_types(self) -> None:
        self.answers(json.dumps(document()))
        inventory = astrid.discover()
        capability = inventory.executors[0]
        self.assertEqual(capability.handle.safety.secrets_required, ("API_KEY",))
        self.assertTrue(capability.handle.safety.network)
        self.assertEqual(capability.handle.provenance.source_kind, "source")
        self.assertEqual(inventory.packs["media"].permission_ids, ("network",))
        with self.assertRaises(AttributeError):
            capability.handle.safety.permissions = ()  # type: ignore[misc]

    def test_the_dictionary_is_the_callers_own(self) -> None:
        self.answers(json.dumps(document()))
        inventory = astrid.discover()
        inventory.to_dict()["packs"].clear()
        self.assertEqual(list(inventory.to_dict()["packs"]), ["media"])
        json.dumps(inventory.to_dict())

    def test_permissions_that_are_no_texts_are_refused_denied(self) -> None:
        for permissions in ([{"id": "network"}], "network", [1], None):
            bad = document()
            bad["executors"][0]["handle"]["safety"]["permissions"] = permissions
            self.answers(json.dumps(bad))
            with self.assertRaises(astrid.AstridError):
                astrid.discover()

    def test_another_format_is_refused_denied(self) -> None:
        for text in ("", "[]", "{", json.dumps({"format_version": 2}), json.dumps({"format_version": 1})):
            self.answers(text)
            with self.assertRaises(astrid.AstridError):
                astrid.discover()

    def test_a_refusal_is_told_in_the_programs_words_denied(self) -> None:
        error = {
            "kind": "invalid",
            "code": 65,
            "message": "duplicate pack id `media`",
            "reasons": ["/one and /two"],
            "hint": "rename one of them",
            "diagnostics": [{"file": "pack.yaml", "line": 3, "column": 1, "message": "unknown key"}],
        }
        self.answers(json.dumps({"format_version": 1, "error": error}), code=65)
        with self.assertRaises(astrid.AstridError) as caught:
            astrid.discover()
        self.assertEqual((caught.exception.kind, caught.exception.code), ("invalid", 65))
        expected = "duplicate pack id `media`\n  /one and /two\n  pack.yaml:3:1: unknown key\nhint: rename one of them"
        self.assertEqual(str(caught.exception), expected)

    def test_a_crash_is_told_as_it_was_said_denied(self) -> None:
        self.answers("", code=70, said="error: internal fault\n")
        with self.assertRaises(astrid.AstridError) as caught:
            astrid.discover()
        self.assertEqual((caught.exception.code, str(caught.exception)), (70, "error: internal fault"))


class Finding(FakeProgram):
    def test_the_named_program_is_taken_before_the_path(self) -> None:
        self.answers("")
        self.assertEqual(binary.find({"ASTRID_BIN": str(self.program), "PATH": "/nowhere"}), str(self.program))

    def test_absolute_folders_of_the_path_are_looked_at(self) -> None:
        self.answers("")
        path = os.pathsep.join(["", ".", "/nowhere", str(self.folder)])
        self.assertEqual(binary.find({"PATH": path}), str(self.program))

    def test_the_folder_of_the_caller_is_never_looked_at_denied(self) -> None:
        self.answers("")
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        for environment in ({"PATH": os.pathsep.join(["", "."])}, {"ASTRID_BIN": "./astrid", "PATH": ""}, {}):
            with self.assertRaises(astrid.ProgramNotFound):
                binary.find(environment)

    def test_what_is_no_program_is_refused_denied(self) -> None:
        self.program.write_text("", encoding="utf-8")
        for named in (str(self.program), str(self.folder), str(self.folder / "absent")):
            with self.assertRaises(astrid.ProgramNotFound):
                binary.find({"ASTRID_BIN": named, "PATH": str(self.folder)})


class Module(FakeProgram):
    def run_module(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "PYTHONPATH": str(PACKAGE), **variables}
        command = [sys.executable, "-m", "astrid", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_it_becomes_the_program(self) -> None:
        self.answers("media\n", code=65, said="no\n")
        done = self.run_module("packs", "inspect", "media")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (65, "media\n", "no\n"))
        self.assertEqual(self.arguments(), ["packs", "inspect", "media"])

    def test_without_a_program_it_says_so_denied(self) -> None:
        done = self.run_module("packs", "list", ASTRID_BIN="", PATH="/nowhere")
        self.assertEqual((done.returncode, done.stdout), (127, ""))
        self.assertIn("there is no `astrid` on PATH", done.stderr)
        self.assertIn("hint: ", done.stderr)


if __name__ == "__main__":
    unittest.main()
