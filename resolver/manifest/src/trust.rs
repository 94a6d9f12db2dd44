//! `trust/*.toml`: acknowledgements that people gave, as files that can be reviewed.

use astrid_authority::{Digest, Permission};
use jiff::Timestamp;
use schemars::JsonSchema;

use crate::canonical::{Writer, array, quoted, signer};
use crate::diagnostic::{Diagnostics, Parsed, Position};
use crate::document::{Context, MAX_FILE_BYTES, Node, Table, Unknown, Value};
use crate::signer::Signer;
use crate::subject::Subject;

/// A file of acknowledgements.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AckFile {
    /// The acknowledgements, as they were written.
    #[schemars(default, rename = "ack")]
    pub acks: Vec<Ack>,
}

/// `[[ack]]`: someone looked at this very thing and trusts it.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ack {
    /// What is trusted.
    pub subject: Subject,
    /// Its version, for people.
    pub version: String,
    /// Of its content. Another byte voids the acknowledgement.
    pub content: Digest,
    /// Of its authority.
    pub authority: Digest,
    /// Who signed it.
    pub signer: Signer,
    /// A readable copy of what it discloses; a mismatch voids the acknowledgement.
    #[schemars(default)]
    pub permissions: Vec<Permission>,
    /// Who gave it.
    pub by: String,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Until when new applies may use it.
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
    /// A signature over the rest: [`Ack::signed_bytes`].
    pub signature: Option<String>,
    /// Where it is written.
    #[schemars(skip)]
    pub place: Position,
}

impl Ack {
    /// The bytes that a signature is over: everything but the signature, with a domain before it.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        write(&mut out, &Self { signature: None, ..self.clone() });
        let mut bytes = b"astrid:ack:v1\n".to_vec();
        bytes.extend_from_slice(out.finish().as_bytes());
        bytes
    }

    /// Says whether it is too old for a new apply at `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

impl AckFile {
    /// Reads `text`, which people know as `file`.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(file: &str, text: &str) -> Result<Parsed<Self>, Diagnostics> {
        let context = Context::new(file, text, MAX_FILE_BYTES)?;
        let acks = crate::document::toml::parse(&context)
            .and_then(|node| Table::new(&context, node, "the file"))
            .map(|mut table| {
                let acks = table.tables("ack").into_iter().filter_map(|below| ack(&context, below)).collect();
                table.finish(Unknown::Error);
                Self { acks }
            });
        context.finish(acks)
    }

    /// Writes the file: the one canonical text, sorted by subject, then time.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut acks: Vec<&Ack> = self.acks.iter().collect();
        acks.sort_by(|one, two| {
            (&one.subject, one.at, &one.content).cmp(&(&two.subject, two.at, &two.content))
        });
        let mut out = Writer::default();
        for ack in acks {
            write(&mut out, ack);
        }
        out.finish()
    }
}

fn write(out: &mut Writer, ack: &Ack) {
    out.header("[[ack]]");
    out.text("subject", &ack.subject);
    out.text("version", &ack.version);
    out.text("content", ack.content);
    out.text("authority", ack.authority);
    out.raw("signer", signer(&ack.signer));
    if !ack.permissions.is_empty() {
        let permissions: Vec<String> = ack.permissions.iter().map(permission_text).collect();
        out.raw("permissions", format!("[{}]", permissions.join(", ")));
    }
    out.text("by", &ack.by);
    out.raw("at", ack.at);
    if let Some(expires) = ack.expires {
        out.raw("expires", expires);
    }
    out.optional("signature", ack.signature.as_ref());
}

fn permission_text(permission: &Permission) -> String {
    let mut fields = vec![
        format!("id = {}", quoted(permission.id.as_str())),
        format!("reason = {}", quoted(&permission.reason)),
    ];
    if let Some(access) = &permission.access {
        fields.push(format!("access = {}", quoted(access)));
    }
    if !permission.services.is_empty() {
        fields.push(format!("services = {}", array(&permission.services)));
    }
    format!("{{ {} }}", fields.join(", "))
}

/// A date and time with an offset, bare or in quotes.
fn timestamp(context: &Context<'_>, node: Node<'_>, key: &str) -> Option<Timestamp> {
    let text = match &node.value {
        Value::Datetime(text) => text.as_str(),
        Value::String(text) => text,
        other => {
            context.error(
                &node.span,
                "wrong-type",
                format!("`{key}` must be a time, and is {}", other.kind()),
            );
            return None;
        }
    };
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let message = format!("`{key}` must be a time with an offset, such as 2026-11-20T12:00:00Z");
        context.error(&node.span, "timestamp", message);
    }
    parsed
}

fn ack(context: &Context<'_>, mut table: Table<'_, '_>) -> Option<Ack> {
    let place = table.position();
    let subject = table.needed("subject", "subject");
    let version = table.needed_text("version");
    let tree = table.needed("content", "digest");
    let authority = table.needed("authority", "digest");
    if !table.has("signer") {
        table.missing("signer");
    }
    let signer = table.take("signer").and_then(|node| Signer::read(context, node));
    let permissions = table
        .take("permissions")
        .map(|node| crate::pack::read_permissions(context, node))
        .unwrap_or_default();
    let by = table.needed_text("by");
    if !table.has("at") {
        table.missing("at");
    }
    let at = table.take("at").and_then(|node| timestamp(context, node, "at"));
    let expires = table.take("expires").map(|node| timestamp(context, node, "expires"));
    let signature = table.string("signature");
    table.finish(Unknown::Error);
    let expires = match expires {
        Some(None) => return None,
        Some(end) => end,
        None => None,
    };
    Some(Ack {
        subject: subject?,
        version: version?.value.into_owned(),
        content: tree?,
        authority: authority?,
        signer: signer?,
        permissions,
        by: by?.value.into_owned(),
        at: at?,
        expires,
        signature,
        place,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZERO: &str = "blake3:0000000000000000000000000000000000000000000000000000000000000000";

    fn text(more: &str) -> String {
        format!(
            "[[ack]]\nsubject = \"pack:media_tools\"\nversion = \"1.4.0\"\ncontent = \"{ZERO}\"\nauthority = \"{ZERO}\"\nsigner = \"unsigned\"\npermissions = [{{ id = \"network\", reason = \"a \\\"b\\\"\", services = [\"api.example.org\"] }}]\nby = \"Ann <ann@example.org>\"\nat = 2026-11-20T12:00:00Z\n{more}"
        )
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = AckFile::parse("trust/a.toml", &text("expires = 2027-05-20T00:00:00Z\n")).unwrap().value;
        assert_eq!(file.to_toml(), text("expires = 2027-05-20T00:00:00Z\n"));
        let ack = &file.acks[0];
        assert_eq!(ack.permissions[0].services, ["api.example.org"]);
        assert!(ack.is_expired("2027-05-20T00:00:00Z".parse().unwrap()));
        assert!(!ack.is_expired("2027-05-19T23:59:59Z".parse().unwrap()));
    }

    #[test]
    fn a_signature_is_over_all_else() {
        let plain = AckFile::parse("a", &text("")).unwrap().value.acks.remove(0);
        let signed = AckFile::parse("a", &text("signature = \"x\"\n")).unwrap().value.acks.remove(0);
        assert_eq!(plain.signed_bytes(), signed.signed_bytes());
        let other = Ack { by: "Eve".to_owned(), ..plain.clone() };
        assert_ne!(plain.signed_bytes(), other.signed_bytes());
    }

    #[test]
    fn other_texts_are_denied() {
        for (from, to, rule) in [
            ("pack:media_tools", "media_tools", "subject"),
            ("2026-11-20T12:00:00Z", "2026-11-20", "timestamp"),
            ("blake3:0", "blake3:", "digest"),
            ("by =", "bye =", "unknown-key"),
            ("\"unsigned\"", "\"trusted\"", "signer"),
            ("\"network\"", "\"net\"", "permission-id"),
        ] {
            let complaints = AckFile::parse("a", &text("").replacen(from, to, 1)).expect_err(from);
            assert!(complaints.has_rule(rule), "{complaints}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = AckFile::parse("a", &text);
        }
    }
}
