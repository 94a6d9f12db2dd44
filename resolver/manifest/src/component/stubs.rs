//! Which of `run`, `astrid-install` and `astrid-upgrade` do something.
//!
//! The guest toolkit exports all of them. Those that an author did not write have the same body,
//! which does nothing but what every export does first. Linkers mostly fold such bodies into one
//! function. So an export of the three is a stub when it shares its function with another one of
//! them, or when it does nothing but call what the other exports call beside their own work.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{ExportSectionReader, ExternalKind, FunctionBody, ImportSectionReader, Operator, TypeRef};

use super::{HOOK_TRIGGER, INSTALL, RUN, UPGRADE};

type Result<T> = std::result::Result<T, wasmparser::BinaryReaderError>;

/// Those that may be stubs.
const NAMES: [&str; 3] = [RUN, INSTALL, UPGRADE];
/// A stub calls no more functions than this.
const MOST_STUB_CALLS: usize = 2;

/// What was seen of the three in core modules.
#[derive(Default)]
pub(super) struct Trio {
    stubs: BTreeSet<&'static str>,
    open: Module,
}

/// What the module that is being read says about the exports.
#[derive(Default)]
struct Module {
    exports: BTreeMap<&'static str, u32>,
    /// The index of the next function with a body.
    next: u32,
    calls: BTreeMap<u32, Calls>,
}

/// Which functions a function calls.
struct Calls {
    callees: BTreeSet<u32>,
    /// It does nothing else.
    only: bool,
}

impl Trio {
    /// Takes in what a core module imports: its own functions are counted after them.
    pub(super) fn imports(&mut self, section: ImportSectionReader<'_>) -> Result<()> {
        for import in section.into_imports() {
            if matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                self.open.next = self.open.next.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Takes in what a core module exports.
    pub(super) fn exports(&mut self, section: ExportSectionReader<'_>) -> Result<()> {
        for export in section {
            let export = export?;
            let name = NAMES.into_iter().chain([HOOK_TRIGGER]).find(|name| *name == export.name);
            if let (Some(name), ExternalKind::Func) = (name, export.kind) {
                self.open.exports.insert(name, export.index);
            }
        }
        Ok(())
    }

    /// Takes in the next body of a core module. Exports come before bodies.
    pub(super) fn body(&mut self, body: &FunctionBody<'_>) -> Result<()> {
        let index = self.open.next;
        self.open.next = index.saturating_add(1);
        if !self.open.exports.values().any(|export| *export == index) {
            return Ok(());
        }
        let mut calls = Calls { callees: BTreeSet::new(), only: true };
        for operator in body.get_operators_reader()? {
            match operator? {
                Operator::Call { function_index } => {
                    calls.callees.insert(function_index);
                }
                Operator::End => {}
                _ => calls.only = false,
            }
        }
        self.open.calls.insert(index, calls);
        Ok(())
    }

    /// Notes that the module that was being read is over.
    pub(super) fn end(&mut self) {
        let module = std::mem::take(&mut self.open);
        self.stubs.extend(NAMES.into_iter().filter(|name| module.is_stub(name)));
    }

    /// Those among the component's exports that are no stubs. What can't be told apart is none.
    pub(super) fn real(&self, exports: &BTreeSet<String>) -> BTreeSet<&'static str> {
        NAMES.into_iter().filter(|name| exports.contains(*name) && !self.stubs.contains(name)).collect()
    }
}

impl Module {
    fn is_stub(&self, name: &str) -> bool {
        let Some(index) = self.exports.get(name) else { return false };
        let mut others = NAMES.into_iter().filter(|other| *other != name);
        if others.clone().any(|other| self.exports.get(other) == Some(index)) {
            return true;
        }
        let is_alone = !others.any(|other| self.exports.contains_key(other));
        let Some(own) = self.calls.get(index).filter(|_| !is_alone) else { return false };
        let usual: BTreeSet<u32> = self
            .calls
            .iter()
            .filter(|(other, calls)| *other != index && !calls.only)
            .flat_map(|(_, calls)| calls.callees.iter().copied())
            .collect();
        own.only && own.callees.len() <= MOST_STUB_CALLS && own.callees.is_subset(&usual)
    }
}
