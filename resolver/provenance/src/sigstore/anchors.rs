//! Roots as the crate takes them: what it can't use is left out and listed.

use ::sigstore::trust_root::{CertificateTransparencyLog, TransparencyLog, TrustedRoot};
use ::sigstore::types::{Sha256Hash, TimeRange};
use jiff::Timestamp;

use super::engine::Engine;
use super::{plain, refused};
use crate::error::Result;
use crate::json::shown;

/// A root as the crate takes it: only what it can use.
#[derive(Default)]
pub(crate) struct Anchors(Option<TrustedRoot>);

/// A log of the root.
pub(super) struct Log {
    pub(super) id: Sha256Hash,
    pub(super) name: String,
    pub(super) window: Option<TimeRange>,
}

impl Anchors {
    /// Reads a root entry by entry, and gives those that can't be used in words.
    pub(crate) fn parse(text: &str, limit: usize) -> Result<(Self, Vec<String>), String> {
        const LISTS: [(&str, &str); 4] = [
            ("tlogs", "transparency log"),
            ("certificateAuthorities", "certificate authority"),
            ("ctlogs", "certificate log"),
            ("timestampAuthorities", "timestamp authority"),
        ];
        let mut document: serde_json::Value = serde_json::from_str(text).map_err(|error| plain(&error))?;
        let document = document.as_object_mut().ok_or("it is no object")?;
        let media_type =
            document.get("mediaType").and_then(|value| value.as_str()).ok_or("it has no `mediaType`")?;
        if !media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err(format!("it is a `{media_type}`"));
        }
        let mut left_out = Vec::new();
        for (list, noun) in LISTS {
            let Some(entries) = document.get_mut(list) else { continue };
            if entries.is_null() {
                document.remove(list);
                continue;
            }
            let entries = entries.as_array_mut().ok_or_else(|| format!("`{list}` is no list"))?;
            if entries.len() > limit {
                return Err(format!("`{list}` has {} entries, and at most {limit} are read", entries.len()));
            }
            entries.retain(|entry| {
                // What can't be used alone can't be used with others either.
                let alone = serde_json::json!({
                    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                    list: [entry],
                });
                let usable = serde_json::from_value::<TrustedRoot>(alone)
                    .map_err(|error| plain(&error))
                    .and_then(|root| ::sigstore::Verifier::new(&root).map_err(|error| plain(&error)));
                if let Err(why) = &usable {
                    let name = ["baseUrl", "uri"]
                        .iter()
                        .find_map(|key| entry.get(key)?.as_str())
                        .unwrap_or("unnamed");
                    left_out.push(format!("{noun} {}: {}", shown(name), shown(why)));
                }
                usable.is_ok()
            });
        }
        let root: TrustedRoot = serde_json::from_value(serde_json::Value::Object(std::mem::take(document)))
            .map_err(|error| plain(&error))?;
        let anchors = Self(Some(root));
        Engine::new(&anchors)?;
        Ok((anchors, left_out))
    }

    /// The root as the crate takes it.
    pub(super) fn root(&self) -> Result<TrustedRoot, String> {
        match &self.0 {
            Some(root) => Ok(root.clone()),
            None => TrustedRoot::from_json(r#"{"mediaType":""}"#).map_err(|error| plain(&error)),
        }
    }
}

impl Log {
    pub(super) fn of(log: &TransparencyLog) -> Result<Self, String> {
        Self::new(log.log_id.key_id.as_bytes(), &log.base_url, log.public_key.valid_for)
    }

    pub(super) fn of_certificates(log: &CertificateTransparencyLog) -> Result<Self, String> {
        Self::new(log.log_id.key_id.as_bytes(), &log.base_url, log.public_key.valid_for)
    }

    fn new(id: &[u8], name: &str, window: Option<TimeRange>) -> Result<Self, String> {
        let id = Sha256Hash::try_from(id).map_err(|error| plain(&error))?;
        Ok(Self { id, name: shown(name), window })
    }

    /// The four bytes by which a checkpoint names the log's key.
    pub(super) fn hint(&self) -> &[u8] {
        &self.id.as_bytes()[..4]
    }

    /// Refuses a log whose key was not valid at `time`: not yet, or no longer.
    pub(super) fn was_valid_at(&self, time: Timestamp) -> Result<()> {
        match self.window {
            Some(window) if !window.contains(time) => Err(refused(format!(
                "the key of the log {} was not valid at {time}: {}",
                self.name,
                words(window)
            ))),
            _ => Ok(()),
        }
    }
}

fn words(window: TimeRange) -> String {
    match window.end {
        Some(end) => format!("it is from {} to {end}", window.start),
        None => format!("it is from {}", window.start),
    }
}
