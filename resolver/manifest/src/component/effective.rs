//! What a capsule may really do: what its manifest grants, and its bytes can use.

use astrid_authority::{AuthoritySet, Grant, GrantKind};

use super::{ComponentSurface, GATED, package_of};
use crate::capsule::CapsuleManifest;

/// What a capsule may really do, and where manifest and bytes disagree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EffectiveAuthority {
    /// Granted, and usable: the canonical authority of the capsule.
    pub granted: AuthoritySet,
    /// Granted, but the bytes can't use it.
    pub unused: AuthoritySet,
    /// Importable, but nothing of it is granted: every such call will be denied.
    pub ungranted_imports: Vec<UngrantedImport>,
}

/// An interface that is imported while the manifest grants nothing for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UngrantedImport {
    /// The interface, such as `astrid:http/host@1.0.0`.
    pub interface: String,
    /// The capabilities of which one would help.
    pub needs: Vec<GrantKind>,
}

/// Which capabilities the functions of an interface ask for.
fn needs(interface: &str, functions: impl Iterator<Item = impl AsRef<str>>) -> Vec<GrantKind> {
    let package = package_of(interface);
    let mut kinds: Vec<GrantKind> = Vec::new();
    for function in functions {
        kinds.extend(function_needs(package, function.as_ref()));
    }
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Which capabilities one function asks for. Unknown functions of a gated package ask for all.
fn function_needs(package: &str, function: &str) -> &'static [GrantKind] {
    use GrantKind as Kind;
    // Methods need a resource, and those come from the functions.
    let is_method = function.starts_with("[method]");
    match package {
        _ if is_method => &[],
        "astrid:fs" => match function {
            "fs-exists" | "fs-readdir" | "fs-stat" | "fs-stat-symlink" | "read-file" | "fs-canonicalize"
            | "fs-read-link" => &[Kind::FsRead],
            "fs-mkdir" | "fs-mkdir-all" | "fs-unlink" | "write-file" | "fs-append" | "fs-rename"
            | "fs-remove-dir-all" => &[Kind::FsWrite],
            _ => &[Kind::FsRead, Kind::FsWrite],
        },
        "astrid:http" => &[Kind::Net],
        "astrid:net" => match function {
            "bind-unix" | "bind-tcp" => &[Kind::NetBind],
            "connect-tcp" | "lookup-host" => &[Kind::NetConnect],
            _ => &[Kind::NetConnect, Kind::NetBind],
        },
        "astrid:process" => match function {
            "spawn" | "spawn-background" => &[Kind::HostProcess],
            _ => &[Kind::HostProcess, Kind::AllowPersistent],
        },
        "astrid:identity" => &[Kind::Identity],
        "astrid:uplink" => &[Kind::Uplink],
        "astrid:ipc" => match function {
            "publish" => &[Kind::Publish],
            "publish-as" => &[Kind::Publish, Kind::Uplink],
            "subscribe" | "get-interceptor-bindings" => &[Kind::Subscribe],
            _ => &[Kind::Publish, Kind::Subscribe],
        },
        "astrid:sys" if function == "get-config" => &[Kind::Env, Kind::Secret],
        "astrid:elicit" => &[Kind::Secret],
        _ => &[],
    }
}

/// What `manifest` grants and `surface` can use.
///
/// Without a surface (the capsule has no component, or nobody looked) everything that is granted
/// counts. A grant that has an effect without being called counts too: `uplink` lifts limits,
/// handlers receive what they subscribe to, and MCP servers are started for the capsule.
#[must_use]
pub fn effective_authority(
    manifest: &CapsuleManifest,
    surface: Option<&ComponentSurface>,
) -> EffectiveAuthority {
    let all = manifest.capabilities().to_set();
    let Some(surface) = surface else {
        return EffectiveAuthority { granted: all, ..EffectiveAuthority::default() };
    };
    let mut usable: Vec<GrantKind> = vec![GrantKind::Uplink];
    for (interface, functions) in &surface.imports {
        usable.extend(needs(interface, functions.iter()));
    }
    if surface.has_hook_trigger() {
        usable.extend([GrantKind::Subscribe, GrantKind::AllowPromptInjection]);
    }
    if usable.contains(&GrantKind::Publish) {
        usable.push(GrantKind::AllowPromptInjection);
    }
    if !manifest.mcp_servers.is_empty() {
        usable.extend([GrantKind::HostProcess, GrantKind::Net, GrantKind::Env, GrantKind::Secret]);
    }
    let (granted, unused): (Vec<Grant>, Vec<Grant>) =
        all.iter().cloned().partition(|grant| usable.contains(&grant.kind()));
    let ungranted_imports = surface
        .imports
        .iter()
        .filter(|(interface, _)| GATED.contains(&package_of(interface)))
        .map(|(interface, functions)| (interface, needs(interface, functions.iter())))
        .filter(|(_, needs)| !needs.is_empty() && !all.iter().any(|grant| needs.contains(&grant.kind())))
        .map(|(interface, needs)| UngrantedImport { interface: interface.clone(), needs })
        .collect();
    EffectiveAuthority {
        granted: granted.into_iter().collect(),
        unused: unused.into_iter().collect(),
        ungranted_imports,
    }
}
