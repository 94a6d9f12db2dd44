//! JSON Schemas of the files, for editors. They are made from the types, and never decide anything.

mod capsule;
#[cfg(test)]
mod tests;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

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

/// Every schema, by the name of its file.
#[must_use]
pub fn all() -> Vec<NamedSchema> {
    vec![
        NamedSchema::of::<capsule::CapsuleFile>("capsule.schema.json", "Capsule.toml"),
        NamedSchema::of::<Distro>("distro.schema.json", "Distro.toml"),
        NamedSchema::of::<HomePolicy>("home-policy.schema.json", "etc/policy.toml"),
        NamedSchema::of::<Lock>("lock.schema.json", "Distro.lock"),
        NamedSchema::of::<PackManifest>("pack.schema.json", "pack.yaml"),
        NamedSchema::of::<AckFile>("trust.schema.json", "trust/*.toml"),
    ]
}
