"""What packs are here, and what do they disclose? Asked of the ``astrid`` program.

``discover()`` runs ``astrid discover --json`` and gives its answer types. Nothing of a pack is imported or run.
"""

from __future__ import annotations

from .binary import AstridError, ProgramNotFound
from .discovery import (
    Capability,
    CapabilityHandle,
    DiscoveryResult,
    Pack,
    Provenance,
    SafetyDeclaration,
    discover,
)

__all__ = [
    "AstridError",
    "Capability",
    "CapabilityHandle",
    "DiscoveryResult",
    "Pack",
    "ProgramNotFound",
    "Provenance",
    "SafetyDeclaration",
    "discover",
]

__version__ = "0.1.0"
