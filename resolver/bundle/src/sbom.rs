//! `sbom.cdx.json`: what the lock pins, in the form that scanners read (CycloneDX 1.6).
//!
//! It says nothing that lock and manifests don't say: whoever has the lock and the licences can write it again, and
//! the reader does.

use std::collections::BTreeMap;

use astrid_authority::Digest;
use astrid_manifest::lock::Lock;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// The namespace of the serial numbers: the first sixteen bytes of the BLAKE3 of `astrid:sbom:v1`.
fn namespace() -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Digest::of(b"astrid:sbom:v1").as_bytes()[..16]);
    Uuid::from_bytes(bytes)
}

/// Licences by the reference of the component: `capsule:NAME`.
pub type Licences = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    bom_format: String,
    spec_version: String,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    component: Component,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Component {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "bom-ref")]
    reference: String,
    name: String,
    version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<Licence>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hash {
    alg: String,
    content: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Licence {
    Expression(String),
    License { name: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Dependency {
    #[serde(rename = "ref")]
    reference: String,
    depends_on: Vec<String>,
}

/// Writes the parts of `lock`.
pub fn write(lock: &Lock, licences: &Licences) -> Result<String> {
    let component = |kind: &str, reference: String, name: &str, version: String, content: Option<Digest>| {
        let hash = |digest: Digest| Hash { alg: "BLAKE3".to_owned(), content: digest.hex() };
        Component {
            kind: kind.to_owned(),
            name: name.to_owned(),
            version,
            hashes: content.map(hash).into_iter().collect(),
            licenses: licences.get(&reference).map(|text| licence(text)).into_iter().collect(),
            reference,
        }
    };
    let distro = format!("distro:{}", lock.distro.id);
    let head = component(
        "application",
        distro.clone(),
        lock.distro.id.as_str(),
        lock.distro.version.to_string(),
        None,
    );
    let capsules = lock.capsules.iter().map(|one| {
        let reference = format!("capsule:{}", one.name);
        component("application", reference, one.name.as_str(), one.version.to_string(), Some(one.content))
    });
    let packs = lock.packs.iter().map(|one| {
        let reference = format!("pack:{}", one.id);
        component("library", reference, one.id.as_str(), one.version.clone(), Some(one.content))
    });
    let alone = lock.capsules.iter().filter(|one| one.pack.is_none());
    let mut dependencies = vec![Dependency {
        reference: distro,
        depends_on: alone
            .map(|one| format!("capsule:{}", one.name))
            .chain(lock.packs.iter().map(|one| format!("pack:{}", one.id)))
            .collect(),
    }];
    dependencies.extend(lock.packs.iter().map(|pack| {
        let own = lock.capsules.iter().filter(|one| one.pack.as_ref() == Some(&pack.id));
        Dependency {
            reference: format!("pack:{}", pack.id),
            depends_on: own.map(|one| format!("capsule:{}", one.name)).collect(),
        }
    }));
    let serial = Uuid::new_v5(&namespace(), Digest::of(lock.to_toml().as_bytes()).as_bytes());
    let document = Document {
        bom_format: "CycloneDX".to_owned(),
        spec_version: "1.6".to_owned(),
        serial_number: serial.urn().to_string(),
        version: 1,
        metadata: Metadata { component: head },
        components: capsules.chain(packs).collect(),
        dependencies,
    };
    let text = serde_json::to_string_pretty(&document)
        .map_err(|error| Error::failed(format!("the SBOM can't be written: {error}")))?;
    Ok(text + "\n")
}

/// Checks that `bytes` are what [`write`] gives for `lock` and whatever licences they name.
pub(crate) fn check(bytes: &[u8], lock: &Lock) -> Result<()> {
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| Error::unreadable(format!("sbom.cdx.json in the bundle is not valid: {error}")))?;
    let licences = document
        .components
        .into_iter()
        .filter_map(|mut one| {
            let licence = one.licenses.pop()?;
            let text = match licence {
                Licence::Expression(text) | Licence::License { name: text } => text,
            };
            Some((one.reference, text))
        })
        .collect();
    if write(lock, &licences)?.as_bytes() == bytes {
        return Ok(());
    }
    Err(Error::unreadable("sbom.cdx.json in the bundle is not about what its lock pins")
        .hint("seal the distro again"))
}

/// An SPDX expression if it looks like one, else a name.
fn licence(text: &str) -> Licence {
    let is_word = |word: &str| {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'+' | b'(' | b')');
        !word.is_empty() && word.bytes().all(plain)
    };
    let words: Vec<&str> = text.split(' ').collect();
    let joined = words.iter().skip(1).step_by(2).all(|word| matches!(*word, "AND" | "OR" | "WITH"))
        && words.len() % 2 == 1;
    if joined && words.iter().all(|word| is_word(word)) {
        Licence::Expression(text.to_owned())
    } else {
        Licence::License { name: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_expressions_or_names() {
        for text in ["MIT", "MIT OR Apache-2.0", "GPL-2.0+ WITH Classpath-exception-2.0", "(MIT AND ISC)"] {
            assert!(matches!(licence(text), Licence::Expression(_)), "{text}");
        }
        for text in ["", "MIT Apache-2.0", "ask Ada", "MIT or ISC", "MIT OR ", "see https://example.org"] {
            assert!(matches!(licence(text), Licence::License { .. }), "{text}");
        }
    }
}
