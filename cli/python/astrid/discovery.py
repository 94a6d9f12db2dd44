"""What is here: packs, and what they offer, with what they disclose.

Every class mirrors an object of ``astrid discover --json``. Attributes that a newer program adds are in ``to_dict()``.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

from .binary import AstridError, ask

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class SafetyDeclaration:
    """What the pack of a capability declares. Nothing enforces it."""

    #: The ids of the permissions of the whole pack: texts, never objects.
    permissions: Tuple[str, ...] = ()
    #: The capability says that it opens network connections.
    network: bool = False
    #: The names of environment variables without which it does not work.
    secrets_required: Tuple[str, ...] = ()
    #: What a call costs, in the author's words; empty when nothing is said.
    cost_estimate: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a capability was found."""

    #: ``source``, ``local``, ``extra``, ``env`` or ``installed``.
    source_kind: str
    #: Which root it was found in: a lower one hides the same id of a higher one.
    priority_index: int
    #: The folder of its pack.
    root: str
    #: The file that declares it.
    manifest_path: str


@dataclass(frozen=True)
class CapabilityHandle:
    """A capability's name, its place and what its pack discloses."""

    canonical_id: str
    local_id: str
    pack_id: str
    kind: str
    name: str
    version: str
    provenance: Provenance
    safety: SafetyDeclaration
    description: str = ""
    short_description: str = ""
    keywords: Tuple[str, ...] = ()
    category: str = ""
    status: str = "active"
    visibility: str = "visible"
    aliases: Tuple[str, ...] = ()
    deprecated: bool = False
    deprecated_alternatives: Tuple[str, ...] = ()
    deprecation_message: str = ""


@dataclass(frozen=True)
class Capability:
    """An executor, an orchestrator or an element."""

    id: str
    #: ``executor``, ``orchestrator`` or ``element``.
    capability_type: str
    #: The kind that its own manifest gives.
    native_kind: str
    handle: CapabilityHandle
    #: What it takes and gives: plain objects of the document.
    inputs: Tuple[Mapping[str, Any], ...] = ()
    outputs: Tuple[Mapping[str, Any], ...] = ()
    #: Opaque: may change in any version.
    schema: Any = None
    defaults: Any = None
    definition: Any = None


@dataclass(frozen=True)
class Pack:
    """A pack, with everything that it discloses."""

    id: str
    name: str
    version: str
    root: str
    source_kind: str
    priority_index: int
    #: Permissions with their reasons, as objects.
    permissions: Tuple[Mapping[str, Any], ...]
    permission_ids: Tuple[str, ...]
    #: The fixed trust block.
    trust: Mapping[str, Any]
    #: The whole record of the document.
    record: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class DiscoveryResult:
    """Everything that was found."""

    executors: Tuple[Capability, ...]
    orchestrators: Tuple[Capability, ...]
    elements: Tuple[Capability, ...]
    #: Packs by id.
    packs: Mapping[str, Pack]
    _document: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def capabilities(self) -> Tuple[Capability, ...]:
        """Executors, orchestrators and elements, in this order."""
        return self.executors + self.orchestrators + self.elements

    @property
    def refused(self) -> Tuple[Mapping[str, Any], ...]:
        """Folders that hold a pack which is not valid: where, and what is wrong."""
        return tuple(self._document.get("refused", ()))

    def to_dict(self) -> Dict[str, Any]:
        """The document of the program: plain objects, safe for JSON, and the caller's own copy."""
        return copy.deepcopy(dict(self._document))


def discover(
    *,
    project_root: Optional[Path] = None,
    extra_pack_roots: Sequence[Path] = (),
    include_installed: bool = True,
) -> DiscoveryResult:
    """Finds packs and what they offer; reads only, and runs nothing of a pack.

    ``project_root`` is the folder whose packs are meant, by default the current one; ``extra_pack_roots`` are more
    folders of packs. ``include_installed=False`` leaves out what is installed. Raises ``AstridError``.
    """
    arguments = ["discover"]
    if project_root is not None:
        arguments += ["--project", os.fspath(project_root)]
    for root in extra_pack_roots:
        arguments += ["--extra", os.fspath(root)]
    if not include_installed:
        arguments.append("--no-installed")
    return _result(ask(arguments))


def _result(document: Mapping[str, Any]) -> DiscoveryResult:
    try:
        executors = tuple(_capability(one) for one in document["executors"])
        orchestrators = tuple(_capability(one) for one in document["orchestrators"])
        elements = tuple(_capability(one) for one in document["elements"])
        packs = {name: _pack(record) for name, record in document["packs"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise AstridError(f"the document of the program lacks something: {error}") from error
    return DiscoveryResult(executors, orchestrators, elements, packs, document)


def _pack(record: Mapping[str, Any]) -> Pack:
    return Pack(
        id=record["id"],
        name=record["name"],
        version=record["version"],
        root=record["root"],
        source_kind=record["source_kind"],
        priority_index=record["priority_index"],
        permissions=tuple(record["permissions"]),
        permission_ids=_texts(record["permission_ids"]),
        trust=record["trust"],
        record=record,
    )


def _capability(one: Mapping[str, Any]) -> Capability:
    return Capability(
        id=one["id"],
        capability_type=one["capability_type"],
        native_kind=one["native_kind"],
        handle=_handle(one["handle"]),
        inputs=tuple(one.get("inputs", ())),
        outputs=tuple(one.get("outputs", ())),
        schema=one.get("schema"),
        defaults=one.get("defaults"),
        definition=one.get("definition"),
    )


def _handle(handle: Mapping[str, Any]) -> CapabilityHandle:
    provenance, safety = handle["provenance"], handle["safety"]
    return CapabilityHandle(
        canonical_id=handle["canonical_id"],
        local_id=handle["local_id"],
        pack_id=handle["pack_id"],
        kind=handle["kind"],
        name=handle["name"],
        version=handle["version"],
        provenance=Provenance(
            source_kind=provenance["source_kind"],
            priority_index=provenance["priority_index"],
            root=provenance["root"],
            manifest_path=provenance["manifest_path"],
        ),
        safety=SafetyDeclaration(
            permissions=_texts(safety["permissions"]),
            network=bool(safety.get("network", False)),
            secrets_required=_texts(safety.get("secrets_required", ())),
            cost_estimate=safety.get("cost_estimate", ""),
        ),
        description=handle.get("description", ""),
        short_description=handle.get("short_description", ""),
        keywords=_texts(handle.get("keywords", ())),
        category=handle.get("category", ""),
        status=handle.get("status", "active"),
        visibility=handle.get("visibility", "visible"),
        aliases=_texts(handle.get("aliases", ())),
        deprecated=bool(handle.get("deprecated", False)),
        deprecated_alternatives=_texts(handle.get("deprecated_alternatives", ())),
        deprecation_message=handle.get("deprecation_message", ""),
    )


def _texts(items: Any) -> Tuple[str, ...]:
    """A list of texts, and of nothing else: callers may rely on it."""
    if isinstance(items, str) or not all(isinstance(item, str) for item in items):
        raise TypeError(f"{items!r} is no list of texts")
    return tuple(items)
