//! The whole way, without a compiler: components that come from elsewhere are taken as they are.

use astrid_build::{BuildError, Describe, DescribeError, Environment, Request, build, toolchain};

use crate::fixture::{Capsule, component, importing};

/// Says what it was told to say.
struct Says(Result<Option<&'static str>, &'static str>);

impl Describe for Says {
    fn describe(&self, _: &[u8]) -> Result<Option<String>, DescribeError> {
        match self.0 {
            Ok(text) => Ok(text.map(str::to_owned)),
            Err(message) => Err(DescribeError(message.to_owned())),
        }
    }
}

const GREET: Says = Says(Ok(Some(r#"{"tools":[{"name":"greet","description":"Greets."}]}"#)));

fn run(capsule: &Capsule, describe: &Says) -> Result<astrid_build::Built, BuildError> {
    let output = capsule.path().join("dist");
    let environment = Environment::default();
    let request = Request { folder: capsule.path(), output: &output, environment: &environment, describe };
    build(&request, &mut |_| {})
}

#[test]
fn a_component_from_elsewhere_is_described_checked_and_packed() {
    let capsule = Capsule::good();
    std::fs::remove_file(capsule.path().join("tools.json")).unwrap();
    let built = run(&capsule, &GREET).unwrap();
    assert!(built.file.ends_with("dist/good.capsule") && built.toolchain.is_none());
    let tools = std::fs::read_to_string(capsule.path().join("tools.json")).unwrap();
    assert!(tools.contains("\"name\": \"greet\""), "{tools}");
    assert_eq!(run(&capsule, &GREET).unwrap().packed.bytes, built.packed.bytes);
}

#[test]
fn a_core_module_becomes_a_component_in_its_place() {
    let capsule = Capsule::good();
    let module = wat::parse_str("(module)").unwrap();
    let file = capsule.write("good.wasm", &module);
    // An empty module becomes a component without entry points, and the check says so.
    assert!(matches!(run(&capsule, &GREET), Err(BuildError::Refused(_))));
    assert!(wasmparser::Parser::is_component(&std::fs::read(file).unwrap()));
}

#[test]
fn no_archive_is_left_when_the_check_refuses_denied() {
    let capsule = Capsule::good();
    capsule.write("good.wasm", &importing("astrid:net/host@1.0.0", "connect-tcp"));
    let error = run(&capsule, &GREET).unwrap_err();
    assert!(matches!(&error, BuildError::Refused(_)) && error.to_string().contains("net_connect"), "{error}");
    assert!(!capsule.path().join("dist").exists());
}

#[test]
fn a_component_that_does_not_answer_denied() {
    let capsule = Capsule::good();
    assert!(matches!(run(&capsule, &Says(Err("it crashed"))), Err(BuildError::Describe(_))));
    assert!(matches!(run(&capsule, &Says(Ok(Some("{}")))), Err(BuildError::Tools(_))));
}

#[test]
fn tools_that_went_away_leave_no_description() {
    let capsule = Capsule::good();
    std::fs::remove_dir_all(capsule.path().join("src")).unwrap();
    capsule.edit(
        "Capsule.toml",
        "\"tool.v1.execute.greet\" = { wit = \"opaque\", handler = \"tool_execute_greet\" }\n",
        "",
    );
    capsule.write("good.wasm", &component("astrid-hook-trigger"));
    run(&capsule, &Says(Ok(None))).unwrap();
    assert!(!capsule.path().join("tools.json").exists());
}

#[test]
fn without_a_compiler_the_error_says_what_to_install() {
    let nowhere = Environment::default();
    // A machine may have the packaged compiler, which is found without PATH; both answers are right.
    match toolchain::find(&nowhere, std::path::Path::new("/")) {
        Ok(found) => assert!(found.rustc.starts_with("/usr/bin")),
        Err(error) => assert!(error.to_string().contains("rustup target add")),
    }
}

/// Needs an installed standard library for guests; where there is none, nothing can be shown offline.
#[test]
fn sources_are_compiled_without_the_machines_paths_where_there_is_a_compiler() {
    let environment = Environment::new(std::env::vars_os());
    let capsule = Capsule::good();
    let folder = capsule.path().canonicalize().unwrap();
    let Ok(found) = toolchain::find(&environment, &folder) else { return };
    if found.library != toolchain::StandardLibrary::Prebuilt {
        return;
    }
    capsule.write(
        "Cargo.toml",
        b"[package]\nname = \"good\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n",
    );
    capsule.write(
        "src/lib.rs",
        b"#[unsafe(no_mangle)]\npub extern \"C\" fn f(x: u32) -> u32 { [1_u32, 2][x as usize] }\n",
    );
    let mut lines = Vec::new();
    let modules = astrid_build::compile::compile(&environment, &found, &folder, &mut |line| {
        lines.push(line.to_owned());
    })
    .unwrap();
    assert_eq!(modules.len(), 1);
    assert_eq!((&modules[0].package, modules[0].file.file_name().unwrap()), (&folder, "good.wasm".as_ref()));
    let bytes = std::fs::read(&modules[0].file).unwrap();
    let path = folder.to_str().unwrap().as_bytes();
    assert!(!bytes.windows(path.len()).any(|part| part == path));
    assert!(lines.iter().any(|line| line.contains("Compiling good")), "{lines:?}");

    capsule.write("src/lib.rs", b"fn broken( {}\n");
    let error = astrid_build::compile::compile(&environment, &found, &folder, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cargo build"), "{error}");
}
