//! Puts the starter and the minimal distro, with the capsules that they hold, into the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The distros that are part of the program.
const DISTROS: [&str; 2] = ["starter", "minimal"];

fn main() -> std::io::Result<()> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let root = manifest.join("../distros").canonicalize()?;
    let mut text = String::from("static EMBEDDED: &[(&str, &str, &[u8])] = &[\n");
    for distro in DISTROS {
        let folder = root.join(distro);
        println!("cargo::rerun-if-changed={}", folder.display());
        let mut files = vec![PathBuf::from("Distro.toml")];
        for entry in std::fs::read_dir(folder.join("capsules"))? {
            files.push(Path::new("capsules").join(entry?.file_name()));
        }
        files.sort();
        for file in files {
            // Writing to a string can't fail.
            let (inside, whole) = (file.display().to_string(), folder.join(&file).display().to_string());
            let _ = writeln!(text, "    ({distro:?}, {inside:?}, include_bytes!({whole:?})),");
        }
    }
    text.push_str("];\n");
    let out = std::env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    std::fs::write(out.join("embedded.rs"), text)
}
