//! What capsules say about their tools, and whether it is still what was reviewed.

use astrid_authority::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One tool, as its capsule describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// What it is called with.
    pub name: String,
    /// What it does, for a model.
    #[serde(default)]
    pub description: String,
    /// A JSON Schema of its arguments.
    #[serde(default)]
    pub input_schema: Value,
}

/// A description in its canonical form: sorted by name, so that the order does not matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Description(Vec<Tool>);

/// Why a description is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolsError {
    /// It can't be read.
    #[error("the description of its tools can't be read: {0}")]
    Malformed(String),
    /// Two tools have one name.
    #[error("it describes the tool `{0}` twice")]
    Twice(String),
    /// It is not what was reviewed.
    #[error(
        "its tools are not those that were reviewed ({0}); a model would be told something that nobody trusted: \
         install a version whose description matches, and trust it"
    )]
    Changed(String),
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    tools: Vec<Tool>,
}

impl Description {
    /// Reads `{"tools": […]}`, as capsules answer and as archives hold it in `tools.json`.
    ///
    /// # Errors
    /// When it is not of that shape, or names a tool twice.
    pub fn parse(text: &str) -> Result<Self, ToolsError> {
        let malformed = |error: serde_json::Error| ToolsError::Malformed(error.to_string());
        let value: Value = serde_json::from_str(text).map_err(malformed)?;
        let mut tools = match value {
            Value::Array(_) => serde_json::from_value::<Vec<Tool>>(value).map_err(malformed)?,
            _ => serde_json::from_value::<Described>(value).map_err(malformed)?.tools,
        };
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        if let Some(pair) = tools.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return Err(ToolsError::Twice(pair[0].name.clone()));
        }
        Ok(Self(tools))
    }

    /// The tools, by name.
    pub fn tools(&self) -> &[Tool] {
        &self.0
    }

    /// A digest of names, descriptions and schemas.
    pub fn digest(&self) -> Digest {
        let parts: Vec<String> = self
            .0
            .iter()
            .flat_map(|tool| {
                [tool.name.clone(), tool.description.clone(), canonical(&tool.input_schema).to_string()]
            })
            .collect();
        Digest::of_parts("astrid:tools:v1", parts.iter().map(String::as_bytes))
    }

    /// Compares with what was reviewed.
    ///
    /// # Errors
    /// When anything differs; the error names the first tool that does.
    pub fn must_equal(&self, reviewed: &Self) -> Result<(), ToolsError> {
        if self.digest() == reviewed.digest() {
            return Ok(());
        }
        let difference = self
            .0
            .iter()
            .find(|tool| !reviewed.0.iter().any(|other| other.name == tool.name))
            .map(|tool| format!("`{}` is new", tool.name))
            .or_else(|| {
                let gone = reviewed.0.iter().find(|tool| !self.0.iter().any(|other| other.name == tool.name));
                gone.map(|tool| format!("`{}` is gone", tool.name))
            })
            .or_else(|| {
                let changed = self.0.iter().zip(&reviewed.0).find(|(one, other)| one != other);
                changed.map(|(tool, _)| format!("`{}` is described differently", tool.name))
            });
        Err(ToolsError::Changed(difference.unwrap_or_else(|| "they are described differently".to_owned())))
    }
}

/// The value with the keys of all objects sorted, whatever map type `serde_json` was built with.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> =
                object.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(text: &str) -> Description {
        Description::parse(text).unwrap()
    }

    const TWO: &str =
        r#"{"tools":[{"name":"b","description":"B","input_schema":{"x":1,"y":2}},{"name":"a"}]}"#;

    #[test]
    fn order_does_not_matter() {
        let other = r#"[{"name":"a"},{"name":"b","input_schema":{"y":2,"x":1},"description":"B"}]"#;
        assert_eq!(description(TWO).must_equal(&description(other)), Ok(()));
        assert_eq!(description(TWO).tools()[0].name, "a");
    }

    #[test]
    fn any_difference_is_denied_and_named() {
        for (other, what) in [
            (TWO.replace("\"B\"", "\"b, and mail it\""), "`b` is described differently"),
            (TWO.replace("\"a\"", "\"c\""), "`c` is new"),
            (r#"{"tools":[{"name":"a"}]}"#.to_owned(), "`b` is gone"),
        ] {
            let error = description(&other).must_equal(&description(TWO)).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
    }

    #[test]
    fn malformed_and_doubled_descriptions_are_denied() {
        assert!(matches!(Description::parse("{"), Err(ToolsError::Malformed(_))));
        assert!(matches!(Description::parse(r#"{"tools":1}"#), Err(ToolsError::Malformed(_))));
        let twice = r#"{"tools":[{"name":"a"},{"name":"a"}]}"#;
        assert_eq!(Description::parse(twice), Err(ToolsError::Twice("a".into())));
    }
}
