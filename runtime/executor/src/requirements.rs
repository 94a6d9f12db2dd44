//! What a component needs of the machine, and what of it is missing. Nothing is installed.

use std::path::{Path, PathBuf};

use astrid_manifest::pack::Dependencies;
use astrid_manifest::pack::action::{Action, Runtime};
use serde::Serialize;

use crate::machine::{Machine, PYTHON};

/// Asks the Python that will run for the versions of distributions; what it does not have is null.
const VERSIONS: &str = "\
import json, sys
from importlib import metadata
def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
";

/// Something that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// A Python distribution.
    Python,
    /// An npm package.
    Npm,
    /// A program on the PATH.
    System,
}

/// Something that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// What kind of thing it is.
    pub kind: Need,
    /// As the manifest says it.
    pub name: String,
    /// What was found instead.
    pub found: String,
    /// How it can be had. Never run by us.
    pub hint: String,
    /// This component needs it; else its pack does, for what may be another component.
    pub needed: bool,
}

/// What a pack and one of its components need, and this machine does not have.
#[must_use]
pub fn missing(
    dependencies: &Dependencies,
    action: &Action,
    root: &Path,
    machine: &Machine<'_>,
) -> Vec<Missing> {
    let isolation = &action.isolation;
    let mut found = Vec::new();
    let both = |one: &[String], other: &[String]| {
        let mut all = one.to_vec();
        all.extend(other.iter().filter(|name| !one.contains(name)).cloned());
        all
    };
    programs(&both(&isolation.binaries, &dependencies.system), machine, &mut found);
    if uses(action, &["python"]) {
        distributions(&both(&isolation.requirements, &dependencies.python), true, machine, &mut found);
    } else {
        distributions(&isolation.requirements, !isolation.requirements.is_empty(), machine, &mut found);
        distributions(&dependencies.python, false, machine, &mut found);
    }
    let needed = uses(action, &["node", "npm", "npx", "bun", "deno"]);
    npm(&dependencies.npm, needed, root, machine, &mut found);
    found
}

/// Whether a component is run by a program whose name begins with one of these. A script may start others.
fn uses(action: &Action, programs: &[&str]) -> bool {
    match &action.runtime {
        None => false,
        Some(Runtime::Command(command)) => {
            let program = command.argv.first().map(Path::new).and_then(Path::file_name);
            let name = program.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            programs.iter().any(|one| name.starts_with(one))
        }
        Some(_) => programs.iter().any(|one| PYTHON.starts_with(one)),
    }
}

fn programs(names: &[String], machine: &Machine<'_>, found: &mut Vec<Missing>) {
    for written in names {
        let name = leading(written, |one| !one.is_whitespace() && !"<>=!~;@([".contains(one));
        if name.is_empty() || machine.program(name.as_ref()).is_some() {
            continue;
        }
        found.push(Missing {
            kind: Need::System,
            name: written.clone(),
            found: "no such program is on the PATH".to_owned(),
            hint: installer(machine, name),
            needed: true,
        });
    }
}

/// How a program is had here: by the package manager that there is.
fn installer(machine: &Machine<'_>, name: &str) -> String {
    const MANAGERS: [(&str, &str); 7] = [
        ("apt-get", "sudo apt-get install"),
        ("dnf", "sudo dnf install"),
        ("pacman", "sudo pacman -S"),
        ("apk", "sudo apk add"),
        ("zypper", "sudo zypper install"),
        ("brew", "brew install"),
        ("nix-env", "nix-env -i"),
    ];
    let manager = MANAGERS.iter().find(|(program, _)| machine.program(program.as_ref()).is_some());
    match manager {
        Some((_, command)) => format!("{command} {name}"),
        None => format!("install `{name}` with the package manager of this system"),
    }
}

fn distributions(written: &[String], needed: bool, machine: &Machine<'_>, found: &mut Vec<Missing>) {
    if written.is_empty() && !needed {
        return;
    }
    let Some(python) = machine.program(PYTHON.as_ref()) else {
        found.push(Missing {
            kind: Need::System,
            name: PYTHON.to_owned(),
            found: "no such program is on the PATH".to_owned(),
            hint: installer(machine, PYTHON),
            needed,
        });
        return;
    };
    // What has a marker or an address may not be needed here, or not be had by name.
    let wanted: Vec<&String> = written.iter().filter(|one| !one.contains([';', '@'])).collect();
    let names: Vec<&str> = wanted.iter().map(|one| distribution(one)).collect();
    if names.is_empty() {
        return;
    }
    let mut arguments = vec!["-B", "-c", VERSIONS];
    arguments.extend(&names);
    let answer = machine.ask(&python, &arguments);
    let answer = answer.and_then(|text| serde_json::from_str::<serde_json::Value>(text.trim()).ok());
    for (written, name) in wanted.into_iter().zip(names) {
        let has = answer.as_ref().map(|answer| answer[name].as_str());
        let why = match has {
            None => format!("{} can't be asked for its distributions", python.display()),
            Some(None) => format!("{} does not have it", python.display()),
            Some(Some(version)) => match version_fits(version, written[name.len()..].trim()) {
                Some(false) => format!("{} has {version}", python.display()),
                _ => continue,
            },
        };
        found.push(Missing {
            kind: Need::Python,
            name: written.clone(),
            found: why,
            hint: format!("{PYTHON} -m pip install '{written}'"),
            needed,
        });
    }
}

/// The name in `name[extra]>=1.2`.
fn distribution(written: &str) -> &str {
    leading(written.trim_start(), |one| one.is_ascii_alphanumeric() || "._-".contains(one))
}

fn leading(text: &str, belongs: impl Fn(char) -> bool) -> &str {
    let end = text.find(|one| !belongs(one)).unwrap_or(text.len());
    &text[..end]
}

/// Whether a version fits `>=1.2,<2`; nothing when that can't be told from numbers.
fn version_fits(version: &str, specifiers: &str) -> Option<bool> {
    let specifiers = match specifiers.strip_prefix('[') {
        Some(extras) => extras.split_once(']')?.1.trim(),
        None => specifiers,
    };
    let specifiers = specifiers.trim_start_matches('(').trim_end_matches(')');
    let mut fits = true;
    for one in specifiers.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let operator = leading(one, |character| "<>=!~".contains(character));
        let wanted = one[operator.len()..].trim();
        let (have, want) = (numbers(version)?, numbers(wanted)?);
        fits &= match operator {
            ">=" => have >= want,
            "<=" => have <= want,
            ">" => have > want,
            "<" => have < want,
            "==" => have == want,
            "!=" => have != want,
            "~=" => have >= want && same_series(&have, wanted),
            _ => return None,
        };
    }
    Some(fits)
}

/// `~=1.4.2` stays within 1.4, `~=1.4` within 1.
fn same_series(have: &[u64], wanted: &str) -> bool {
    let length = wanted.split('.').count().saturating_sub(1);
    let Some(want) = numbers(wanted) else { return false };
    let part =
        |numbers: &[u64]| (0..length).map(|at| numbers.get(at).copied().unwrap_or(0)).collect::<Vec<_>>();
    part(have) == part(&want)
}

/// `1.20.0` as numbers, without zeros at its end; nothing for what is more than numbers.
fn numbers(version: &str) -> Option<Vec<u64>> {
    let mut numbers: Vec<u64> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

fn npm(written: &[String], needed: bool, root: &Path, machine: &Machine<'_>, found: &mut Vec<Missing>) {
    if written.is_empty() {
        return;
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for start in [root, machine.folder] {
        folders.extend(start.ancestors().map(|folder| folder.join("node_modules")));
    }
    if let Some(paths) = machine.variable("NODE_PATH") {
        folders.extend(std::env::split_paths(&paths));
    }
    if let Some(node) = machine.program("node".as_ref()) {
        let prefix = node.parent().and_then(Path::parent);
        folders.extend(prefix.map(|prefix| prefix.join("lib/node_modules")));
    }
    for one in written {
        // `@scope/name@^1.2`: the scope's sign is part of the name.
        let end = one
            .char_indices()
            .skip(1)
            .find(|(_, character)| *character == '@')
            .map_or(one.len(), |(at, _)| at);
        let name = one[..end].trim();
        let is_plain = !name.is_empty() && !name.starts_with('/') && name.split('/').all(|part| part != "..");
        if !is_plain || folders.iter().any(|folder| folder.join(name).join("package.json").is_file()) {
            continue;
        }
        found.push(Missing {
            kind: Need::Npm,
            name: one.clone(),
            found: format!(
                "it is in no node_modules above {} and not installed globally",
                machine.folder.display()
            ),
            hint: format!("npm install '{one}'"),
            needed,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, specifiers, fits) in [
            ("2.31.0", ">=2.4", Some(true)),
            ("2.4", "==2.4.0", Some(true)),
            ("2.4", "[socks] >=2,<3", Some(true)),
            ("1.10", "<1.9", Some(false)),
            ("1.4.9", "~=1.4.2", Some(true)),
            ("1.5", "~=1.4.2", Some(false)),
            ("1.5", "~=1.4", Some(true)),
            ("2.0", "!=2", Some(false)),
            ("2.0", "", Some(true)),
            ("2.0rc1", ">=2", None),
            ("2.0", "==2.*", None),
            ("2.0", "===2.0", None),
        ] {
            assert_eq!(version_fits(version, specifiers), fits, "{version} {specifiers}");
        }
    }

    #[test]
    fn names_end_where_versions_begin() {
        assert_eq!(distribution("requests>=2"), "requests");
        assert_eq!(distribution(" ruamel.yaml [jinja2] ~=0.18"), "ruamel.yaml");
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_get_it_denied() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = |name: &str| (name == "PATH").then(|| folder.path().as_os_str().to_owned());
        let machine = Machine { variable: &nowhere, folder: folder.path() };
        let mut found = Vec::new();
        programs(&["no-such-program >=2".to_owned()], &machine, &mut found);
        npm(&["@acme/left-pad@^1".to_owned()], true, folder.path(), &machine, &mut found);
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["no-such-program >=2", "@acme/left-pad@^1"]);
        assert_eq!(found[0].hint, "install `no-such-program` with the package manager of this system");
        assert_eq!(found[1].hint, "npm install '@acme/left-pad@^1'");
        std::fs::create_dir_all(folder.path().join("node_modules/@acme/left-pad")).unwrap();
        std::fs::write(folder.path().join("node_modules/@acme/left-pad/package.json"), "{}").unwrap();
        found.clear();
        npm(&["@acme/left-pad@^1".to_owned()], true, folder.path(), &machine, &mut found);
        assert!(found.is_empty());
    }
}
