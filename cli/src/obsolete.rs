//! Names of older tools: they do nothing but say what to type instead.

/// What was typed, and what does the same today.
const RENAMED: &[(&[&str], &str)] = &[
    (&["session", "info"], "astrid status"),
    (&["session"], "astrid status"),
    (&["wit", "gc"], "astrid gc"),
    (&["wit"], "astrid gc"),
    (&["build"], "astrid capsule build"),
    (&["keys"], "astrid keypair list"),
    (&["servers"], "astrid ps"),
    (&["astridd"], "astrid start"),
    (&["distro", "apply"], "astrid apply"),
    (&["distro", "show"], "astrid show"),
    (&["distro", "update"], "astrid update --all"),
    (&["capsule", "compile"], "astrid capsule build"),
    (&["capsule", "info"], "astrid show NAME"),
    (&["capsule", "list"], "astrid ps"),
    (&["capsule", "tree"], "astrid tree"),
    (&["capsule", "install"], "astrid add SOURCE"),
    (&["capsule", "remove"], "astrid remove NAME"),
    (&["capsule", "update"], "astrid update NAME"),
    (&["packs", "install"], "astrid add SOURCE"),
    (&["packs", "inspect"], "astrid show SOURCE"),
    (&["packs", "update"], "astrid update NAME"),
    (&["packs", "uninstall"], "astrid remove NAME"),
    (&["packs", "rollback"], "astrid rollback"),
];

/// The words that are neither flags nor values of flags before them.
fn words(arguments: &[String]) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "-C" | "--home" | "--color" | "--format" | "--lock-timeout" => drop(rest.next()),
            flag if flag.starts_with('-') => {}
            word => words.push(word),
        }
    }
    words
}

/// What was typed and what to type instead, when it is the name of an older tool.
pub(crate) fn replacement(arguments: &[String]) -> Option<(String, &'static str)> {
    let words = words(arguments);
    let (old, new) = RENAMED.iter().find(|(old, _)| words.starts_with(old))?;
    Some((old.join(" "), new))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(line: &str) -> Option<(String, &'static str)> {
        replacement(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn older_names_have_a_replacement() {
        assert_eq!(ask("session info"), Some(("session info".to_owned(), "astrid status")));
        assert_eq!(ask("-C dir wit gc --force"), Some(("wit gc".to_owned(), "astrid gc")));
    }

    #[test]
    fn names_of_today_have_none_denied() {
        for line in ["gc", "capsule build", "capsule check", "status", ""] {
            assert_eq!(ask(line), None, "{line}");
        }
    }
}
