//! Values that may name variables: `{{ name }}`, with any spacing, filled in once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// A value with variables in it.
///
/// What a variable holds is never looked at for further variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    text: String,
    segments: Vec<Segment>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Text that stays as it is.
    Literal(String),
    /// The name of a variable.
    Variable(String),
}

/// The text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("`{{{{` is not closed: write `{{{{ name }}}}`")]
    Unclosed,
    /// Nothing, or braces, between the braces.
    #[error("`{{{{ }}}}` needs the name of a variable")]
    Name,
}

/// A variable of a template has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the variable `{0}` has no value")]
pub struct MissingVariable(
    /// The name of it.
    pub String,
);

impl Template {
    /// The pieces in order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of the variables, in order, each as often as it is used.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Variable(name) => Some(name.as_str()),
            Segment::Literal(_) => None,
        })
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Fills in the variables, once.
    ///
    /// # Errors
    /// With the first variable that `values` does not hold.
    pub fn render(&self, values: &BTreeMap<String, String>) -> Result<String, MissingVariable> {
        let mut out = String::with_capacity(self.text.len());
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => out.push_str(text),
                Segment::Variable(name) => {
                    out.push_str(values.get(name).ok_or_else(|| MissingVariable(name.clone()))?);
                }
            }
        }
        Ok(out)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                segments.push(Segment::Literal(before.to_owned()));
            }
            let (name, after) = after.split_once("}}").ok_or(TemplateError::Unclosed)?;
            let name = name.trim();
            if name.is_empty() || name.contains(['{', '}']) {
                return Err(TemplateError::Name);
            }
            segments.push(Segment::Variable(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            segments.push(Segment::Literal(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), segments })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A value; `{{ name }}` stands for the variable of that name."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        BTreeMap::from([("x".to_owned(), "{{ y }}".to_owned()), ("y".to_owned(), "no".to_owned())])
    }

    #[test]
    fn any_spacing_is_filled_in_once() {
        for text in ["{{x}}", "{{ x }}", "{{  x  }}"] {
            assert_eq!(text.parse::<Template>().unwrap().render(&values()).unwrap(), "{{ y }}");
        }
        let mixed: Template = "a{{y}}b{{ y }}".parse().unwrap();
        assert_eq!(mixed.render(&values()).unwrap(), "anobno");
        assert_eq!(mixed.variables().collect::<Vec<_>>(), ["y", "y"]);
    }

    #[test]
    fn what_is_missing_or_malformed_is_denied() {
        assert_eq!(
            "{{ z }}".parse::<Template>().unwrap().render(&values()),
            Err(MissingVariable("z".into()))
        );
        for text in ["{{", "{{ x", "{{}}", "{{ {{ x }} }}"] {
            assert!(text.parse::<Template>().is_err(), "{text:?}");
        }
    }
}
