//! `tools.json`: what a capsule tells a model about its tools, written down so that it can be reviewed.
//!
//! Only the component itself knows the schemas of its tools, so it has to be asked. Asking runs code, and
//! this crate runs none: whoever builds brings a [`Describe`].

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

/// The file's name in a capsule's folder and archive.
pub const TOOLS_FILE: &str = "tools.json";

/// Asks a component for its tools, in a sandbox that grants it nothing.
pub trait Describe {
    /// The description as JSON text, as the component gives it; `None` when it has no tools.
    ///
    /// # Errors
    /// When the component can't be run or does not answer.
    fn describe(&self, component: &[u8]) -> Result<Option<String>, DescribeError>;
}

/// A component could not be asked for its tools.
#[derive(Debug, thiserror::Error)]
#[error("the component does not describe its tools: {0}")]
pub struct DescribeError(pub String);

/// Why a text is no description of tools.
#[derive(Debug, thiserror::Error)]
pub enum ToolsError {
    /// It is not JSON, or has another shape.
    #[error("the description of tools is not an object with `tools`, each with a `name`: {0}")]
    Shape(#[from] serde_json::Error),
    /// Two tools have one name.
    #[error("the tool `{0}` is described twice")]
    Twice(String),
}

#[derive(Deserialize)]
struct Described {
    tools: Vec<Value>,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    description: String,
}

/// A tool, as far as a check needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSummary {
    /// Its name.
    pub name: String,
    /// Whether it says what it does.
    pub is_described: bool,
}

/// The tools of a description, by name.
///
/// # Errors
/// When it is not a description, or names a tool twice.
pub fn read(text: &str) -> Result<Vec<ToolSummary>, ToolsError> {
    let described: Described = serde_json::from_str(text)?;
    let mut names = BTreeSet::new();
    let mut tools = Vec::new();
    for tool in described.tools {
        let Named { name, description } = serde_json::from_value(tool)?;
        if !names.insert(name.clone()) {
            return Err(ToolsError::Twice(name));
        }
        tools.push(ToolSummary { name, is_described: !description.trim().is_empty() });
    }
    tools.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(tools)
}

/// Brings a description into the one form that is written to [`TOOLS_FILE`]: tools by name, members of
/// objects by name, two spaces, one line end. `None` when there are no tools.
///
/// # Errors
/// As [`read`].
pub fn canonical(text: &str) -> Result<Option<String>, ToolsError> {
    let names: Vec<String> = read(text)?.into_iter().map(|tool| tool.name).collect();
    if names.is_empty() {
        return Ok(None);
    }
    let Described { mut tools, description } = serde_json::from_str(text)?;
    tools.sort_by(|left, right| left["name"].as_str().cmp(&right["name"].as_str()));
    let mut out = String::from("{\n  \"description\": ");
    write_value(&mut out, &Value::String(description), 1);
    out.push_str(",\n  \"tools\": ");
    write_value(&mut out, &Value::Array(tools), 1);
    out.push_str("\n}\n");
    Ok(Some(out))
}

/// Writes members in the order of their names, whatever kind of map the JSON library was built with.
fn write_value(out: &mut String, value: &Value, depth: usize) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Object(members) if !members.is_empty() => {
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (index, (name, value)) in sorted.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                line(out, depth + 1);
                out.push_str(&Value::String(name.clone()).to_string());
                out.push_str(": ");
                write_value(out, value, depth + 1);
            }
            line(out, depth);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                line(out, depth + 1);
                write_value(out, item, depth + 1);
            }
            line(out, depth);
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_does_not_depend_on_the_order() {
        let one = r#"{"tools":[{"name":"b","input_schema":{"y":[],"x":{}}},{"name":"a","description":"A"}]}"#;
        let two = r#"{"description":"","tools":[{"description":"A","name":"a"},{"input_schema":{"x":{},"y":[]},"name":"b"}]}"#;
        let text = canonical(one).unwrap().unwrap();
        assert_eq!(Some(&text), canonical(two).unwrap().as_ref());
        assert_eq!(canonical(&text).unwrap().unwrap(), text);
        assert_eq!(
            text,
            "{\n  \"description\": \"\",\n  \"tools\": [\n    {\n      \"description\": \"A\",\n      \"name\": \"a\"\n    },\n    \
             {\n      \"input_schema\": {\n        \"x\": {},\n        \"y\": []\n      },\n      \"name\": \"b\"\n    }\n  ]\n}\n"
        );
    }

    #[test]
    fn no_tools_are_no_file() {
        assert_eq!(canonical(r#"{"tools":[],"description":"x"}"#).unwrap(), None);
    }

    #[test]
    fn two_tools_of_one_name_and_other_shapes_denied() {
        assert!(matches!(read(r#"{"tools":[{"name":"a"},{"name":"a"}]}"#), Err(ToolsError::Twice(_))));
        for wrong in ["", "[]", "{}", r#"{"tools":[{}]}"#, r#"{"tools":[1]}"#] {
            assert!(matches!(canonical(wrong), Err(ToolsError::Shape(_))), "{wrong}");
        }
    }
}
