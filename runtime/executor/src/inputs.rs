//! What a run is given: values of the types that the manifest declares.

use std::path::{Path, PathBuf};

use astrid_manifest::pack::action::{Port, PortKind};
use serde_json::Value as Json;

use crate::error::{Error, Result};

/// Longest value in bytes: what an argument of a process holds on Linux, with room for a flag before it.
pub const MAX_VALUE_BYTES: usize = 120 << 10;
/// Most values of one run.
pub const MAX_VALUES: usize = 1000;

/// `NAME=VALUE`, as a person gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Of an input or an output.
    pub name: String,
    /// As it was written.
    pub value: String,
}

/// One value of an input.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// As an argument.
    pub text: String,
    /// As Python gets it.
    pub json: Json,
}

/// An input with its values: one, several when it was given several times, or none when it is optional.
#[derive(Debug, Clone, PartialEq)]
pub struct Input<'a> {
    /// What the manifest says about it.
    pub port: &'a Port,
    /// What was given, or its default.
    pub values: Vec<Value>,
    /// Nobody gave it: it is the default.
    pub is_default: bool,
}

/// The inputs of a run, in the order of the manifest.
///
/// # Errors
/// All that is wrong with them, at once.
pub fn read<'a>(ports: &'a [Port], given: &[&Given], folder: &Path) -> Result<Vec<Input<'a>>> {
    let mut inputs = Vec::new();
    let mut wrong = Vec::new();
    for port in ports {
        let own: Vec<&str> =
            given.iter().filter(|one| one.name == port.name).map(|one| one.value.as_str()).collect();
        let is_default = own.is_empty();
        let values: std::result::Result<Vec<Value>, String> = if is_default {
            defaults(port).iter().map(|default| of_default(port.kind, default, folder)).collect()
        } else {
            own.into_iter().map(|text| of_text(port.kind, text, folder)).collect()
        };
        match values {
            Ok(values) if values.is_empty() && port.required => wrong.push(needed(port)),
            Ok(values) => inputs.push(Input { port, values, is_default }),
            Err(why) => wrong.push(format!("`{}` {why}", port.name)),
        }
    }
    if wrong.is_empty() {
        return Ok(inputs);
    }
    let message =
        if wrong.len() == 1 { wrong.remove(0) } else { "the inputs are not what it takes".to_owned() };
    Err(Error::usage(message).because(wrong).hint("give inputs as NAME=VALUE after the name of the executor"))
}

fn needed(port: &Port) -> String {
    let what = port.description.as_ref().map_or_else(String::new, |what| format!(": {what}"));
    format!("`{}` is needed ({}){what}", port.name, port.kind.as_str())
}

fn defaults(port: &Port) -> Vec<Json> {
    match &port.default {
        None | Some(Json::Null) => Vec::new(),
        // Several defaults of an input that may be repeated.
        Some(Json::Array(items)) if port.kind != PortKind::Json => items.clone(),
        Some(one) => vec![one.clone()],
    }
}

fn of_default(kind: PortKind, default: &Json, folder: &Path) -> std::result::Result<Value, String> {
    match (kind, default) {
        (PortKind::Json, _) => Ok(Value { text: default.to_string(), json: default.clone() }),
        (_, Json::String(text)) => of_text(kind, text, folder),
        (_, Json::Bool(_) | Json::Number(_)) => of_text(kind, &default.to_string(), folder),
        _ => Err(format!("has a default that is no {}", kind.as_str())),
    }
}

fn of_text(kind: PortKind, text: &str, folder: &Path) -> std::result::Result<Value, String> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(format!("is longer than {MAX_VALUE_BYTES} bytes: give a file where it takes one"));
    }
    if text.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    let plain = |text: String| Value { json: Json::String(text.clone()), text };
    match kind {
        PortKind::String => Ok(plain(text.to_owned())),
        PortKind::Path | PortKind::File | PortKind::Directory | PortKind::Html => {
            let path = absolute(text, folder)?;
            there(kind, &path)?;
            let path = path.into_os_string().into_string();
            path.map(plain).map_err(|_| "is below a folder whose name is no UTF-8".to_owned())
        }
        PortKind::Boolean => match text {
            "true" => Ok(Value { text: text.to_owned(), json: Json::Bool(true) }),
            "false" => Ok(Value { text: text.to_owned(), json: Json::Bool(false) }),
            _ => Err(format!("is a boolean: write true or false, not `{}`", shown(text))),
        },
        PortKind::Integer => match text.parse::<i64>() {
            Ok(number) => Ok(Value { text: number.to_string(), json: number.into() }),
            Err(_) => Err(format!("is an integer, and `{}` is none that fits into 64 bits", shown(text))),
        },
        PortKind::Number => {
            let number = serde_json::from_str::<serde_json::Number>(text).ok();
            let number = number.filter(|number| number.as_f64().is_some_and(f64::is_finite));
            let number = number.ok_or_else(|| format!("is a number, and `{}` is none", shown(text)))?;
            Ok(Value { text: text.to_owned(), json: Json::Number(number) })
        }
        PortKind::Json => {
            let json: Json =
                serde_json::from_str(text).map_err(|error| format!("is JSON, and this is not: {error}"))?;
            Ok(Value { text: json.to_string(), json })
        }
    }
}

/// A path that a person or a manifest wrote, from the folder of the run.
pub(crate) fn absolute(text: &str, folder: &Path) -> std::result::Result<PathBuf, String> {
    if text.is_empty() {
        return Err("is a path, and this is empty".to_owned());
    }
    Ok(if text == "." { folder.to_owned() } else { folder.join(text.strip_prefix("./").unwrap_or(text)) })
}

fn there(kind: PortKind, path: &Path) -> std::result::Result<(), String> {
    let found = std::fs::metadata(path).ok();
    let is = |right: fn(&std::fs::Metadata) -> bool| found.as_ref().is_some_and(right);
    match kind {
        PortKind::File | PortKind::Html if !is(std::fs::Metadata::is_file) => {
            Err(format!("is a file, and there is none at {}", path.display()))
        }
        PortKind::Directory if !is(std::fs::Metadata::is_dir) => {
            Err(format!("is a folder, and there is none at {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn port(name: &str, kind: PortKind) -> Port {
        Port {
            name: name.to_owned(),
            kind,
            required: true,
            default: None,
            description: None,
            placeholder: None,
            artifact_type: None,
        }
    }

    fn one(kind: PortKind, text: &str) -> std::result::Result<Value, String> {
        of_text(kind, text, Path::new("/work"))
    }

    #[test]
    fn values_have_the_types_of_the_manifest() {
        let json_of = |kind, text| one(kind, text).unwrap().json;
        assert_eq!(json_of(PortKind::String, "a b"), json!("a b"));
        assert_eq!(json_of(PortKind::Boolean, "true"), json!(true));
        assert_eq!(json_of(PortKind::Integer, "-7"), json!(-7));
        assert_eq!(json_of(PortKind::Number, "2.5e1"), json!(25.0));
        assert_eq!(json_of(PortKind::Json, r#" {"a": [1]} "#), json!({ "a": [1] }));
        assert_eq!(json_of(PortKind::Path, "./new/file"), json!("/work/new/file"));
        assert_eq!(json_of(PortKind::Path, "/x"), json!("/x"));
        assert_eq!(json_of(PortKind::Path, "."), json!("/work"));
    }

    #[test]
    fn values_of_another_type_are_refused_denied() {
        for (kind, text) in [
            (PortKind::String, "a\0"),
            (PortKind::Boolean, "yes"),
            (PortKind::Boolean, ""),
            (PortKind::Integer, "1.5"),
            (PortKind::Integer, "99999999999999999999"),
            (PortKind::Number, "NaN"),
            (PortKind::Number, "1e999"),
            (PortKind::Number, "one"),
            (PortKind::Json, "{"),
            (PortKind::Path, ""),
            (PortKind::File, "no/such/file"),
            (PortKind::Html, "no/such/file"),
            (PortKind::Directory, "no/such/folder"),
        ] {
            assert!(one(kind, text).is_err(), "{kind:?} {text:?}");
        }
        assert!(one(PortKind::String, &"a".repeat(MAX_VALUE_BYTES + 1)).is_err());
    }

    #[test]
    fn what_is_not_given_is_the_default() {
        let ports = [
            Port { default: Some(json!(3)), ..port("rows", PortKind::Integer) },
            Port { default: Some(json!(["a", "b"])), ..port("names", PortKind::String) },
            Port { required: false, ..port("note", PortKind::String) },
        ];
        let inputs = read(&ports, &[], Path::new("/work")).unwrap();
        let texts: Vec<Vec<&str>> = inputs
            .iter()
            .map(|input| input.values.iter().map(|value| value.text.as_str()).collect())
            .collect();
        assert_eq!(texts, [vec!["3"], vec!["a", "b"], vec![]]);
        let given = Given { name: "rows".to_owned(), value: "4".to_owned() };
        let inputs = read(&ports, &[&given], Path::new("/work")).unwrap();
        assert_eq!((inputs[0].values[0].text.as_str(), inputs[0].is_default), ("4", false));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_denied() {
        let ports = [port("one", PortKind::String), port("two", PortKind::Integer)];
        let given = Given { name: "two".to_owned(), value: "x".to_owned() };
        let error = read(&ports, &[&given], Path::new("/work")).unwrap_err();
        assert_eq!(error.reasons().len(), 2, "{error:?}");
        assert!(error.reasons()[0].contains("`one` is needed (string)"));
    }
}
