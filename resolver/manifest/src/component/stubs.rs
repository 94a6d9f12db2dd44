//! Which of `run`, `astrid-install` and `astrid-upgrade` do something.
//!
//! The guest toolkit exports all of them. Those that an author did not write have the same empty
//! body, which linkers fold into one function: an export that shares its function with another one
//! of the three is a stub.

use std::collections::BTreeSet;

use wasmparser::{ExportSectionReader, ExternalKind};

use super::{INSTALL, RUN, UPGRADE};

const NAMES: [&str; 3] = [RUN, INSTALL, UPGRADE];

/// What was seen of the three in core modules.
#[derive(Default)]
pub(super) struct Trio {
    /// Those whose function is theirs alone in some module.
    own: BTreeSet<&'static str>,
    /// Those that some module exports.
    seen: BTreeSet<&'static str>,
}

impl Trio {
    /// Takes in the exports of one core module.
    pub(super) fn module(
        &mut self,
        section: ExportSectionReader<'_>,
    ) -> Result<(), wasmparser::BinaryReaderError> {
        let mut found: Vec<(&'static str, u32)> = Vec::new();
        for export in section {
            let export = export?;
            let name = NAMES.into_iter().find(|name| *name == export.name);
            if let (Some(name), ExternalKind::Func) = (name, export.kind) {
                found.push((name, export.index));
            }
        }
        for (name, index) in &found {
            self.seen.insert(name);
            if found.iter().filter(|(_, other)| other == index).count() == 1 {
                self.own.insert(name);
            }
        }
        Ok(())
    }

    /// Those among the component's exports that are no stubs.
    pub(super) fn real(&self, exports: &BTreeSet<String>) -> BTreeSet<&'static str> {
        NAMES
            .into_iter()
            .filter(|name| exports.contains(*name))
            // A core module may use other names inside; what can't be told apart counts as real.
            .filter(|name| self.own.contains(name) || !self.seen.contains(name))
            .collect()
    }
}
