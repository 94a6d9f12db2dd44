//! Puts the starter and the minimal distro, with the capsules that they name, into the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The distros that are part of the program.
const DISTROS: [&str; 2] = ["starter", "minimal"];

/// What of a capsule's folder is part of the capsule: what its archive would hold.
fn belongs(path: &Path) -> bool {
    let first = path.components().next().and_then(|part| part.as_os_str().to_str());
    match first {
        Some("Capsule.toml" | "tools.json" | "wit" | "assets" | "skills") => true,
        Some(name) => Path::new(name).extension().is_some_and(|extension| extension == "wasm"),
        None => false,
    }
}

fn files(folder: &Path, below: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if !belongs(&path) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files(folder, &path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// The folders that a distro's text names as sources, from the root of the repository.
fn sources(text: &str) -> Vec<String> {
    let quoted = text.lines().filter_map(|line| line.trim().strip_prefix("source = \"../../"));
    quoted.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn main() -> std::io::Result<()> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let root = manifest.join("..").canonicalize()?;
    let mut all: Vec<PathBuf> = Vec::new();
    for distro in DISTROS {
        let path = Path::new("distros").join(distro).join("Distro.toml");
        let text = std::fs::read_to_string(root.join(&path))?;
        println!("cargo::rerun-if-changed={}", root.join(&path).display());
        all.push(path);
        for source in sources(&text) {
            let folder = root.join(&source);
            println!("cargo::rerun-if-changed={}", folder.display());
            let mut found = Vec::new();
            files(&folder, Path::new(""), &mut found)?;
            all.extend(found.into_iter().map(|file| Path::new(&source).join(file)));
        }
    }
    all.sort();
    all.dedup();
    let mut text = String::from("static EMBEDDED: &[(&str, &[u8])] = &[\n");
    for path in all {
        // Writing to a string can't fail.
        let _ = writeln!(text, "    ({:?}, include_bytes!({:?})),", path.display().to_string(), root.join(&path));
    }
    text.push_str("];\n");
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    std::fs::write(out.join("embedded.rs"), text)
}
