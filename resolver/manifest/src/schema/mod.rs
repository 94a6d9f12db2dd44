//! JSON Schemas of the files, for editors. They are made from the types, and never decide anything.

mod capsule;
mod component;
#[cfg(test)]
mod tests;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::distro::Distro;
use crate::lock::Lock;
use crate::pack::PackManifest;
use crate::policy::HomePolicy;
use crate::trust::AckFile;

/// A schema and the name of its file below `schemas/`.
#[derive(Debug, Clone)]
pub struct NamedSchema {
    /// The name of the file.
    pub file: &'static str,
    /// The schema.
    pub schema: Schema,
}

impl NamedSchema {
    fn of<T: JsonSchema>(file: &'static str, title: &str) -> Self {
        // Draft 7 is what editors' TOML and YAML extensions understand.
        let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
        for value in schema.ensure_object().values_mut() {
            without_null(value);
        }
        schema.insert("title".to_owned(), title.into());
        Self { file, schema }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> String {
        // A schema is plain JSON; writing it can't fail.
        let mut text = serde_json::to_string_pretty(&self.schema).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Takes `null` away: what is absent is not written, in TOML it can't be.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(kinds)) = object.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [_] = choices.as_slice()
                    && let Some(choices) = object.remove("anyOf")
                {
                    object.insert("allOf".to_owned(), choices);
                }
            }
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Every schema, by the name of its file.
#[must_use]
pub fn all() -> Vec<NamedSchema> {
    vec![
        NamedSchema::of::<capsule::CapsuleFile>("capsule.schema.json", "Capsule.toml"),
        NamedSchema::of::<Distro>("distro.schema.json", "Distro.toml"),
        NamedSchema::of::<component::ElementFile>("element.schema.json", "element.yaml"),
        NamedSchema::of::<component::ExecutorFile>("executor.schema.json", "executor.yaml"),
        NamedSchema::of::<HomePolicy>("home-policy.schema.json", "etc/policy.toml"),
        NamedSchema::of::<Lock>("lock.schema.json", "Distro.lock"),
        NamedSchema::of::<component::OrchestratorFile>("orchestrator.schema.json", "orchestrator.yaml"),
        NamedSchema::of::<PackManifest>("pack.schema.json", "pack.yaml"),
        NamedSchema::of::<AckFile>("trust.schema.json", "trust/*.toml"),
    ]
}
