//! Which exports of a component are real.
//!
//! The SDK exports all four functions of a capsule; those that the author did not write share one
//! empty body. Calling them would be a waste, and a `run` that returns at once would look like a
//! loop that ended.

use wasmparser::{ExternalKind, Parser, Payload};

const LIFECYCLE: [&str; 3] = ["run", "astrid-install", "astrid-upgrade"];

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
    /// In the core module, a lifecycle export that is the same function as another one is a stub.
    /// One that stands alone is real; what can't be told apart counts as real.
    #[must_use]
    pub fn of_component(bytes: &[u8]) -> Self {
        let mut exported = Self::default();
        let mut stubs = [false; 3];
        // Sections nest; the depth tells the component's own exports from those of its parts.
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes).flatten() {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section.into_iter().flatten() {
                        exported.add(export.name.name);
                    }
                }
                Payload::ExportSection(section) => {
                    let mut bodies = [None; 3];
                    for export in section.into_iter().flatten() {
                        let at = LIFECYCLE.iter().position(|name| *name == export.name);
                        if let (ExternalKind::Func, Some(at)) = (export.kind, at) {
                            bodies[at] = Some(export.index);
                        }
                    }
                    for (at, body) in bodies.iter().enumerate() {
                        let shared =
                            bodies.iter().enumerate().any(|(other, same)| other != at && same == body);
                        stubs[at] |= body.is_some() && shared;
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_round_trip() {
        for bits in 0..16 {
            assert_eq!(Exports::from_bits(bits).to_bits(), bits);
        }
    }

    #[test]
    fn shared_bodies_are_stubs() {
        let component = wat::parse_str(
            r#"(component
                (core module $m
                    (func $stub) (func $real)
                    (export "run" (func $real))
                    (export "astrid-install" (func $stub))
                    (export "astrid-upgrade" (func $stub)))
                (core instance $i (instantiate $m))
                (func $run (canon lift (core func $i "run")))
                (func $install (canon lift (core func $i "astrid-install")))
                (func $upgrade (canon lift (core func $i "astrid-upgrade")))
                (export "run" (func $run))
                (export "astrid-install" (func $install))
                (export "astrid-upgrade" (func $upgrade)))"#,
        )
        .unwrap();
        let expected = Exports { run: true, ..Exports::default() };
        assert_eq!(Exports::of_component(&component), expected);
    }
}
