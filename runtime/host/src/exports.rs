//! Which exports of a component are real.
//!
//! The SDK exports all four functions of a capsule; those that the author did not write are stubs.
//! Calling them would be a waste, and a `run` that returns at once would look like a loop that
//! ended.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{ExternalKind, FunctionBody, Operator, Parser, Payload, TypeRef};

/// Those that may be stubs, then the one that a component would be nothing without.
const ENTRIES: [&str; 4] = ["run", "astrid-install", "astrid-upgrade", "astrid-hook-trigger"];
const LIFECYCLE: usize = 3;
/// What a stub of the SDK still calls: what every export calls first.
const MOST_STUB_CALLS: usize = 2;

/// The functions that a component exports and that do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, independently of the others")]
pub struct Exports {
    /// Handles events, tools and commands.
    pub hook_trigger: bool,
    /// Runs for as long as it is loaded.
    pub run: bool,
    /// Runs at the first installation.
    pub install: bool,
    /// Runs when another version was installed before.
    pub upgrade: bool,
}

impl Exports {
    /// Finds them in the bytes of a component, which must be valid.
    ///
    /// A lifecycle export is a stub when its core function is that of another lifecycle export
    /// (linkers fold equal ones), or does nothing but call what other exports call besides their
    /// own work. One that is the only one of them, and what can't be told apart, counts as real.
    #[must_use]
    pub fn of_component(bytes: &[u8]) -> Self {
        let mut exported = Self::default();
        let mut stubs = [false; LIFECYCLE];
        // Parts nest; the component's own exports are those outside of all parts.
        let mut depth = 0_u32;
        let mut module = Module::default();
        for payload in Parser::new(0).parse_all(bytes).flatten() {
            match payload {
                Payload::ModuleSection { .. } => {
                    depth += 1;
                    module = Module::default();
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => {
                    depth = depth.saturating_sub(1);
                    for (stub, found) in stubs.iter_mut().zip(std::mem::take(&mut module).stubs()) {
                        *stub |= found;
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section.into_iter().flatten() {
                        exported.add(export.name.name);
                    }
                }
                Payload::ImportSection(section) => {
                    let imports = section.into_imports().flatten();
                    let functions = imports.filter(|import| matches!(import.ty, TypeRef::Func(_)));
                    module.next = u32::try_from(functions.count()).unwrap_or(u32::MAX);
                }
                Payload::ExportSection(section) => {
                    for export in section.into_iter().flatten() {
                        let at = ENTRIES.iter().position(|name| *name == export.name);
                        if let (ExternalKind::Func, Some(at)) = (export.kind, at) {
                            module.entries[at] = Some(export.index);
                        }
                    }
                }
                Payload::CodeSectionEntry(body) => module.body(&body),
                _ => {}
            }
        }
        exported.run &= !stubs[0];
        exported.install &= !stubs[1];
        exported.upgrade &= !stubs[2];
        exported
    }

    fn add(&mut self, name: &str) {
        match name {
            "astrid-hook-trigger" => self.hook_trigger = true,
            "run" => self.run = true,
            "astrid-install" => self.install = true,
            "astrid-upgrade" => self.upgrade = true,
            _ => {}
        }
    }

    /// One bit for each, in the order of the fields.
    pub(crate) fn to_bits(self) -> u8 {
        u8::from(self.hook_trigger)
            | u8::from(self.run) << 1
            | u8::from(self.install) << 2
            | u8::from(self.upgrade) << 3
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        let bit = |at: u8| bits >> at & 1 == 1;
        Self { hook_trigger: bit(0), run: bit(1), install: bit(2), upgrade: bit(3) }
    }
}

/// What one core module says about the entries.
#[derive(Default)]
struct Module {
    /// The function of each entry.
    entries: [Option<u32>; ENTRIES.len()],
    /// The index of the next body.
    next: u32,
    calls: BTreeMap<u32, Calls>,
}

/// Which functions a function calls.
struct Calls {
    callees: BTreeSet<u32>,
    /// It does nothing else.
    only: bool,
}

impl Module {
    fn body(&mut self, body: &FunctionBody<'_>) {
        let index = self.next;
        self.next = self.next.saturating_add(1);
        if !self.entries.contains(&Some(index)) {
            return;
        }
        let mut calls = Calls { callees: BTreeSet::new(), only: true };
        let Ok(operators) = body.get_operators_reader() else { return };
        for operator in operators.into_iter().flatten() {
            match operator {
                Operator::Call { function_index } => {
                    calls.callees.insert(function_index);
                }
                Operator::End => {}
                _ => calls.only = false,
            }
        }
        self.calls.insert(index, calls);
    }

    /// For each lifecycle entry, whether it is a stub.
    fn stubs(self) -> [bool; LIFECYCLE] {
        std::array::from_fn(|at| {
            let Some(index) = self.entries[at] else { return false };
            let shared = (0..LIFECYCLE).any(|other| other != at && self.entries[other] == Some(index));
            let others = (0..LIFECYCLE).any(|other| other != at && self.entries[other].is_some());
            shared || (others && self.does_nothing(index))
        })
    }

    fn does_nothing(&self, index: u32) -> bool {
        let Some(own) = self.calls.get(&index) else { return false };
        let others: BTreeSet<u32> = self
            .calls
            .iter()
            .filter(|(other, calls)| **other != index && !calls.only)
            .flat_map(|(_, calls)| calls.callees.iter().copied())
            .collect();
        own.only && own.callees.len() <= MOST_STUB_CALLS && own.callees.is_subset(&others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_round_trip() {
        for bits in 0..16 {
            assert_eq!(Exports::from_bits(bits).to_bits(), bits);
        }
    }

    fn exports(functions: &str, run: &str, install: &str, upgrade: &str) -> Exports {
        let text = format!(
            r#"(component
                (core module $m
                    {functions}
                    (export "run" (func {run}))
                    (export "astrid-install" (func {install}))
                    (export "astrid-upgrade" (func {upgrade})))
                (core instance $i (instantiate $m))
                (func $run (canon lift (core func $i "run")))
                (func $install (canon lift (core func $i "astrid-install")))
                (func $upgrade (canon lift (core func $i "astrid-upgrade")))
                (export "run" (func $run))
                (export "astrid-install" (func $install))
                (export "astrid-upgrade" (func $upgrade)))"#
        );
        Exports::of_component(&wat::parse_str(text).unwrap())
    }

    #[test]
    fn shared_bodies_are_stubs() {
        let found = exports("(func $stub) (func $real nop)", "$real", "$stub", "$stub");
        assert_eq!(found, Exports { run: true, ..Exports::default() });
    }

    #[test]
    fn a_stub_that_stands_alone_is_one_too() {
        let functions = "(func $first) (func $stub call $first) (func $work nop)
            (func $install nop call $first call $work) (func $upgrade nop call $first)";
        let found = exports(functions, "$stub", "$install", "$upgrade");
        assert_eq!(found, Exports { install: true, upgrade: true, ..Exports::default() });
    }

    #[test]
    fn calling_what_no_other_export_calls_is_work() {
        let functions = "(func $first) (func $main nop) (func $run call $first call $main)
            (func $other nop call $first)";
        let found = exports(functions, "$run", "$other", "$other");
        assert_eq!(found, Exports { run: true, ..Exports::default() });
    }
}
