//! A capsule's folder that is in order, to be broken in one place per test.

use std::path::{Path, PathBuf};

pub(crate) const MANIFEST: &str = r#"[package]
name = "good"
version = "1.0.0"

[[component]]
file = "good.wasm"

[publish]
"tool.v1.execute.*.result" = "opaque"
"tool.v1.response.describe.*" = "opaque"

[subscribe]
"tool.v1.execute.greet" = { wit = "opaque", handler = "tool_execute_greet" }
"tool.v1.request.describe" = { wit = "opaque", handler = "tool_describe" }
"good.v1.event" = { wit = "opaque", handler = "on_event" }
"#;

const SOURCE: &str = r#"
struct Good;
#[capsule]
impl Good {
    /// Greets.
    #[astrid::tool("greet")]
    fn greet(&self, args: Args) -> Result<String, SysError> { Ok(args.name) }
    #[astrid::interceptor("on_event")]
    fn on_event(&self, event: Value) -> Result<(), SysError> { Ok(()) }
}
"#;

const TOOLS: &str = r#"{"tools":[{"name":"greet","description":"Greets.","input_schema":{}}]}"#;

pub(crate) struct Capsule {
    folder: tempfile::TempDir,
}

impl Capsule {
    pub(crate) fn good() -> Self {
        let capsule = Self { folder: tempfile::tempdir().unwrap() };
        capsule.write("Capsule.toml", MANIFEST.as_bytes());
        capsule.write("src/lib.rs", SOURCE.as_bytes());
        capsule.write("tools.json", TOOLS.as_bytes());
        capsule.write("good.wasm", &component("astrid-hook-trigger"));
        capsule
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, bytes).unwrap();
        file
    }

    /// Replaces a text in a file, which must be there.
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.path().join(name)).unwrap();
        assert!(text.contains(old), "{old} is not in {name}");
        self.write(name, text.replace(old, new).as_bytes());
    }
}

/// A component that exports a function of that name and imports nothing.
pub(crate) fn component(export: &str) -> Vec<u8> {
    wat::parse_str(format!(
        "(component
            (core module $m (func (export \"f\")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i \"f\")))
            (export \"{export}\" (func $f)))"
    ))
    .unwrap()
}

/// A component that imports one function of an interface.
pub(crate) fn importing(interface: &str, function: &str) -> Vec<u8> {
    wat::parse_str(format!(
        "(component
            (import \"{interface}\" (instance $h (export \"{function}\" (func))))
            (alias export $h \"{function}\" (func $f))
            (core func $lowered (canon lower (func $f)))
            (core module $m (import \"h\" \"f\" (func)) (func (export \"f\")))
            (core instance $i (instantiate $m (with \"h\" (instance (export \"f\" (func $lowered))))))
            (func $g (canon lift (core func $i \"f\")))
            (export \"astrid-hook-trigger\" (func $g)))"
    ))
    .unwrap()
}
