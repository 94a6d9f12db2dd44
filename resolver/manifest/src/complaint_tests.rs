//! Every complaint about a file is shown at once: what is wrong with one value never hides an
//! unknown key, in any table of any kind of file.

use crate::diagnostic::{Diagnostics, Parsed};
use crate::lock::AnyLock;
use crate::{AckFile, CapsuleManifest, Distro, HomePolicy, PackManifest, Strictness};

const ZERO: &str = "blake3:0000000000000000000000000000000000000000000000000000000000000000";

fn complaints<T>(read: Result<Parsed<T>, Diagnostics>) -> Diagnostics {
    read.map_or_else(|complaints| complaints, |parsed| parsed.warnings)
}

/// Breaks each value of `text` in turn, then leaves its line out; every `zzz` must be reported
/// each time. `between` is what stands between keys and values, `wrong` a value that fits no key.
#[track_caller]
fn all_are_shown(text: &str, between: &str, wrong: &str, read: impl Fn(&str) -> Diagnostics) {
    let wanted = text.matches("zzz").count();
    assert!(wanted > 0, "nothing to look for");
    let check = |text: &str| {
        let found = read(text);
        let count = found.iter().filter(|one| one.message.contains("unknown key `zzz`")).count();
        assert_eq!(count, wanted, "{text}\n{found}");
    };
    check(text);
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let Some((key, _)) = line.split_once(between).filter(|(key, _)| !key.ends_with("zzz")) else {
            continue;
        };
        let broken = format!("{key}{between}{wrong}");
        // The first line of an item of a list can't go without the item.
        let gone = if key.trim_start().starts_with('-') { broken.as_str() } else { "" };
        for other in [broken.as_str(), gone] {
            let mut lines = lines.clone();
            lines[at] = other;
            check(&lines.join("\n"));
        }
    }
}

#[track_caller]
fn toml(text: &str, read: impl Fn(&str) -> Diagnostics) {
    // A date fits no key, and neither does a number below zero.
    for wrong in ["1979-05-27", "-1", "\"\\t\"", "[\"\\t\"]", "{}"] {
        all_are_shown(text, " = ", wrong, &read);
    }
}

#[test]
fn distro() {
    let text = "schema-version = 1
zzz = 1
[distro]
id = \"demo\"
name = \"Demo\"
version = \"0.1.0\"
pretty-name = \"Demo\"
astrid-version = \">=0.1\"
authors = [\"Ann\"]
zzz = 1
[distro.requires.astrid]
llm = \"^1.0\"
[distro.signing]
pubkey = \"ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\"
zzz = 1
[variables.model]
secret = false
default = \"x\"
zzz = 1
[[index]]
name = \"main\"
url = \"./index\"
zzz = 1
[[capsule]]
name = \"front\"
source = \"./front.capsule\"
version = \"0.1.0\"
tag = \"v1\"
group = \"ui\"
default = true
depends-on = [\"back\"]
zzz = 1
[capsule.env]
A = \"{{ model }}\"
[capsule.probe]
tool = \"ask\"
args = {}
zzz = 1
[[pack]]
id = \"media\"
source = \"./media\"
version = \"1.0.0\"
capsules = [\"cut\"]
keep = true
zzz = 1
[policy]
provenance = \"none\"
min-age = \"3d\"
zzz = 1
[policy.authority]
deny = [\"host_process\"]
zzz = 1
[[policy.signer]]
match = [\"pack:media\"]
key = \"ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\"
zzz = 1
[[policy.change]]
subject = \"pack:media\"
from = \"a\"
to = \"b\"
reason = \"c\"
zzz = 1
[invites]
issuers = [\"ann\"]
default-group = \"guests\"
default-expires = \"3d\"
max-principals = \"5\"
zzz = 1
[branding]
icon = \"icon.svg\"
primary-color = \"#fff\"
zzz = 1
[reconcile]
source = \"./distro\"
interval = \"1h\"
upgrade = \"auto\"
zzz = 1
";
    toml(text, |text| complaints(Distro::parse("Distro.toml", text)));
}

#[test]
fn capsule() {
    let text = "zzz = 1
[package]
name = \"front\"
version = \"0.1.0\"
astrid-version = \">=0.1\"
description = \"x\"
authors = [\"Ann\"]
publish = false
zzz = 1
[package.metadata]
any = 1
[[component]]
id = \"main\"
file = \"front.wasm\"
type = \"executable\"
zzz = 1
[component.capabilities]
fs_read = [\"workspace://\"]
bind_workers = 2
zzz = 1
[capabilities]
net = [\"example.org\"]
uplink = false
kv = [\"a\"]
zzz = 1
[imports.\"astrid:llm\"]
version = \"^1.0\"
optional = true
zzz = 1
[exports.\"astrid:ui\"]
version = \"1.0.0\"
zzz = 1
[publish.\"a.v1.b\"]
wit = \"opaque\"
tag = \"v1\"
fanout = true
zzz = 1
[subscribe.\"a.v1.c\"]
wit = \"opaque\"
handler = \"on-c\"
priority = 5
zzz = 1
[env.A]
type = \"text\"
default = \"x\"
request = \"Which?\"
zzz = 1
[env.A.options_from]
http = \"https://example.org\"
after = [\"A\"]
zzz = 1
[[command]]
name = \"ask\"
kind = \"cli\"
zzz = 1
[[mcp_server]]
id = \"s\"
type = \"stdio\"
command = \"x\"
zzz = 1
[[uplink]]
name = \"u\"
platform = \"web\"
profile = \"chat\"
zzz = 1
[[context_file]]
name = \"c\"
file = \"c.md\"
zzz = 1
[[tool]]
name = \"t\"
description_for_llm = \"x\"
mutable = true
zzz = 1
";
    for strictness in [Strictness::Check, Strictness::Load] {
        toml(text, |text| complaints(CapsuleManifest::parse("Capsule.toml", text, strictness)));
    }
    let gone = "[package]\nname = \"front\"\nversion = \"0.1.0\"\n[component]\nfile = \"a.wasm\"\nzzz = 1\n";
    toml(gone, |text| complaints(CapsuleManifest::parse("Capsule.toml", text, Strictness::Check)));
}

#[test]
fn pack() {
    let text = "schema_version: 1
id: media_tools
name: Media tools
version: 1.4.0
description: cuts
keywords: [film]
status: active
origin: builtin
zzz: 1
content:
  executors: executors
  zzz: 1
agent:
  purpose: cuts films
  anything: else
metadata: {a: 1}
aliases:
  - kind: executor
    alias: a.b
    canonical_id: media_tools.b
    zzz: 1
permissions:
  - id: network
    reason: asks a server
    services: [api.example.org]
    zzz: 1
secrets:
  - name: API_KEY
    required: true
    zzz: 1
dependencies:
  packs: [base]
  python: [numpy]
  zzz: 1
extensions:
  elements: {a: 1}
  zzz: 1
";
    for wrong in ["[[1]]", "-1", "\"\\t\"", "[\"\\t\"]", "{}"] {
        all_are_shown(text, ": ", wrong, |text| complaints(PackManifest::parse("pack.yaml", text)));
    }
    let old =
        "schema_version: 1\nid: a\nname: A\nversion: 1.0.0\nsecrets:\n  required: [API_KEY]\n  zzz: 1\n";
    all_are_shown(old, ": ", "[[1]]", |text| complaints(PackManifest::parse("pack.yaml", text)));
}

#[test]
fn lock() {
    let text = format!(
        "schema-version = 2
must-understand = [\"authority\"]
manifest-hash = \"{ZERO}\"
zzz = 1
[distro]
id = \"demo\"
version = \"0.1.0\"
source = \"./demo\"
zzz = 1
[selection]
ui = [\"a\"]
[[capsule]]
name = \"a\"
requirement = \"^1.0\"
version = \"1.0.0\"
source = \"./a\"
pack = \"media\"
content = \"{ZERO}\"
manifest = \"{ZERO}\"
authority = \"{ZERO}\"
signer = \"unsigned\"
zzz = 1
[[pack]]
id = \"media\"
version = \"1.0.0\"
source = \"./media\"
content = \"{ZERO}\"
permissions = \"{ZERO}\"
authority = \"{ZERO}\"
zzz = 1
[pack.signer]
key = \"ed25519:6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=\"
zzz = 1
"
    );
    // Another version has other keys: only one that can't be read counts as this one.
    let (version, rest) = text.split_once('\n').unwrap();
    toml(rest, |rest| complaints(AnyLock::parse("Distro.lock", &format!("{version}\n{rest}"))));
    toml(&text, |text| complaints(AnyLock::parse("Distro.lock", text)));
}

#[test]
fn lock_of_version_1() {
    let text = format!(
        "schema-version = 1
manifest-hash = \"{ZERO}\"
zzz = 1
[distro]
id = \"demo\"
version = \"0.1.0\"
resolved-at = \"2026-11-20T12:00:00Z\"
zzz = 1
[[capsule]]
name = \"a\"
version = \"1.0.0\"
source = \"@acme/a\"
hash = \"{ZERO}\"
resolved_ref = \"v1.0.0\"
zzz = 1
"
    );
    toml(&text, |text| complaints(AnyLock::parse("Distro.lock", text)));
}

#[test]
fn ack() {
    let text = format!(
        "zzz = 1
[[ack]]
subject = \"pack:media_tools\"
version = \"1.4.0\"
content = \"{ZERO}\"
authority = \"{ZERO}\"
by = \"Ann <ann@example.org>\"
at = 2026-11-20T12:00:00Z
expires = 2027-05-20T00:00:00Z
signature = \"x\"
zzz = 1
[ack.signer]
issuer = \"https://example.org\"
identity = \"ann\"
zzz = 1
[[ack.permissions]]
id = \"network\"
reason = \"asks\"
zzz = 1
"
    );
    toml(&text, |text| complaints(AckFile::parse("trust/a.toml", text)));
}

#[test]
fn policy() {
    let text = "acks = \"signed\"
zzz = 1
[[believe]]
origin = \"https://example.org/fleet\"
zzz = 1
[policy]
provenance = \"none\"
min-age = \"3d\"
ungranted-imports = \"warn\"
zzz = 1
[policy.authority]
deny = [\"host_process\"]
zzz = 1
[[policy.signer]]
match = [\"pack:media\"]
issuer = \"https://example.org\"
repository = \"acme/media\"
zzz = 1
";
    toml(text, |text| complaints(HomePolicy::parse("policy.toml", text)));
}
