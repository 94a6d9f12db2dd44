//! The interfaces of `wit/` that this version does not serve.
//!
//! A component that imports them loads: the SDK links all of them, used or not. Each call is
//! refused in the interface's own terms. No call has an effect, and no resource is ever made, so
//! the methods of resources can't be reached.

use wasmtime::StoreContextMut;
use wasmtime::component::types::{ComponentFunc, Type};
use wasmtime::component::{Linker, ResourceType, Val};

use crate::state::CallState;

/// An interface that is not served.
struct Closed {
    interface: &'static str,
    /// Who holds none of these is denied; who holds one is told that it is not supported.
    capabilities: &'static [&'static str],
    resources: &'static [&'static str],
    functions: &'static [&'static str],
}

/// Stands for every resource that is never made.
struct Never;

const CLOSED: &[Closed] = &[
    Closed {
        interface: "astrid:approval/host@1.0.0",
        capabilities: &[],
        resources: &[],
        functions: &["request-approval"],
    },
    Closed {
        interface: "astrid:elicit/host@1.0.0",
        capabilities: &[],
        resources: &[],
        functions: &["elicit", "has-secret"],
    },
    Closed {
        interface: "astrid:http/host@1.0.0",
        capabilities: &["net"],
        resources: &["http-stream"],
        functions: &[
            "[method]http-stream.status",
            "[method]http-stream.headers",
            "[method]http-stream.read-chunk",
            "[method]http-stream.close",
            "[method]http-stream.subscribe-readable",
            "[method]http-stream.body-stream",
            "http-request",
            "http-stream-start",
        ],
    },
    Closed {
        interface: "astrid:http/host@1.1.0",
        capabilities: &["net"],
        resources: &["http-stream", "http-upload"],
        functions: &[
            "[method]http-stream.status",
            "[method]http-stream.headers",
            "[method]http-stream.read-chunk",
            "[method]http-stream.close",
            "[method]http-stream.subscribe-readable",
            "[method]http-stream.body-stream",
            "[method]http-stream.trailers",
            "[method]http-upload.body-sink",
            "[method]http-upload.subscribe-writable",
            "[method]http-upload.finish",
            "http-request",
            "http-request-opts",
            "http-stream-start",
            "http-stream-start-opts",
            "http-upload-start",
        ],
    },
    Closed {
        interface: "astrid:identity/host@1.0.0",
        capabilities: &["identity"],
        resources: &[],
        functions: &[
            "identity-resolve",
            "identity-link",
            "identity-unlink",
            "identity-create-user",
            "identity-list-links",
        ],
    },
    Closed {
        interface: "astrid:io/error@1.0.0",
        capabilities: &[],
        resources: &["error"],
        functions: &["[method]error.to-debug-string"],
    },
    Closed {
        interface: "astrid:io/streams@1.0.0",
        capabilities: &[],
        resources: &["input-stream", "output-stream"],
        functions: &[
            "[method]input-stream.read",
            "[method]input-stream.blocking-read",
            "[method]input-stream.skip",
            "[method]input-stream.blocking-skip",
            "[method]input-stream.subscribe",
            "[method]output-stream.check-write",
            "[method]output-stream.write",
            "[method]output-stream.blocking-write-and-flush",
            "[method]output-stream.flush",
            "[method]output-stream.blocking-flush",
            "[method]output-stream.subscribe",
            "[method]output-stream.write-zeroes",
            "[method]output-stream.blocking-write-zeroes-and-flush",
            "[method]output-stream.splice",
            "[method]output-stream.blocking-splice",
        ],
    },
    Closed {
        interface: "astrid:net/host@1.0.0",
        capabilities: &["net_connect", "net_bind"],
        resources: &["unix-listener", "tcp-listener", "tcp-stream", "udp-socket"],
        functions: &[
            "[method]unix-listener.accept",
            "[method]unix-listener.poll-accept",
            "[method]unix-listener.subscribe-readiness",
            "[method]tcp-listener.accept",
            "[method]tcp-listener.poll-accept",
            "[method]tcp-listener.local-addr",
            "[method]tcp-listener.subscribe-readiness",
            "[method]tcp-stream.read",
            "[method]tcp-stream.write",
            "[method]tcp-stream.read-bytes",
            "[method]tcp-stream.write-bytes",
            "[method]tcp-stream.peek",
            "[method]tcp-stream.shutdown",
            "[method]tcp-stream.peer-addr",
            "[method]tcp-stream.local-addr",
            "[method]tcp-stream.set-nodelay",
            "[method]tcp-stream.nodelay",
            "[method]tcp-stream.set-read-timeout",
            "[method]tcp-stream.read-timeout",
            "[method]tcp-stream.set-write-timeout",
            "[method]tcp-stream.write-timeout",
            "[method]tcp-stream.set-hop-limit",
            "[method]tcp-stream.hop-limit",
            "[method]tcp-stream.set-keepalive",
            "[method]tcp-stream.keepalive",
            "[method]tcp-stream.set-linger",
            "[method]tcp-stream.linger",
            "[method]tcp-stream.set-reuseaddr",
            "[method]tcp-stream.reuseaddr",
            "[method]tcp-stream.subscribe-readable",
            "[method]tcp-stream.read-stream",
            "[method]tcp-stream.write-stream",
            "[method]udp-socket.send-to",
            "[method]udp-socket.recv-from",
            "[method]udp-socket.connect",
            "[method]udp-socket.disconnect",
            "[method]udp-socket.send",
            "[method]udp-socket.recv",
            "[method]udp-socket.peer-addr",
            "[method]udp-socket.set-read-timeout",
            "[method]udp-socket.local-addr",
            "[method]udp-socket.subscribe-readable",
            "bind-unix",
            "bind-tcp",
            "connect-tcp",
            "udp-bind",
            "lookup-host",
        ],
    },
    Closed {
        interface: "astrid:process/host@1.0.0",
        capabilities: &["host_process"],
        resources: &["process-handle"],
        functions: &[
            "[method]process-handle.read-logs",
            "[method]process-handle.write-stdin",
            "[method]process-handle.close-stdin",
            "[method]process-handle.signal",
            "[method]process-handle.kill",
            "[method]process-handle.wait",
            "[method]process-handle.wait-with-output",
            "[method]process-handle.os-pid",
            "[method]process-handle.subscribe-exit",
            "[method]process-handle.subscribe-logs",
            "spawn",
            "spawn-background",
            "spawn-persistent",
            "attach",
            "list-processes",
            "status",
            "status-many",
            "read-logs",
            "read-since",
            "write-stdin",
            "close-stdin",
            "signal",
            "wait",
            "stop",
            "release-process",
            "watch",
            "unwatch",
        ],
    },
    Closed {
        interface: "astrid:process/host@1.1.0",
        capabilities: &["host_process"],
        resources: &["process-handle"],
        functions: &[
            "[method]process-handle.read-logs",
            "[method]process-handle.write-stdin",
            "[method]process-handle.close-stdin",
            "[method]process-handle.signal",
            "[method]process-handle.kill",
            "[method]process-handle.wait",
            "[method]process-handle.wait-with-output",
            "[method]process-handle.os-pid",
            "[method]process-handle.subscribe-exit",
            "[method]process-handle.subscribe-logs",
            "spawn",
            "spawn-background",
            "spawn-persistent",
            "attach",
            "list-processes",
            "status",
            "status-many",
            "read-logs",
            "read-since",
            "write-stdin",
            "close-stdin",
            "signal",
            "wait",
            "stop",
            "release-process",
            "watch",
            "unwatch",
        ],
    },
    Closed {
        interface: "astrid:request-context/host@1.0.0",
        capabilities: &[],
        resources: &[],
        functions: &["connection-owner", "connection-principal"],
    },
    Closed {
        interface: "astrid:uplink/host@1.0.0",
        capabilities: &["uplink"],
        resources: &[],
        functions: &["uplink-register", "uplink-send"],
    },
];

/// Defines them all.
pub(super) fn add_to(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    for closed in CLOSED {
        let mut instance = linker.instance(closed.interface)?;
        for resource in closed.resources {
            instance.resource(resource, ResourceType::host::<Never>(), |_, _| Ok(()))?;
        }
        for function in closed.functions {
            instance.func_new(function, move |context, signature, _, results| {
                refuse(&context, closed, function, &signature, results)
            })?;
        }
    }
    Ok(())
}

fn refuse(
    context: &StoreContextMut<'_, CallState>,
    closed: &Closed,
    function: &str,
    signature: &ComponentFunc,
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let spec = &context.data().capsule.spec;
    tracing::debug!(capsule = %spec.name, interface = closed.interface, function, "refused");
    let held = spec.capabilities.held();
    let denied = !closed.capabilities.is_empty() && !closed.capabilities.iter().any(|own| held.contains(own));
    let case = signature.results().next().and_then(|result| error_case(&result, denied));
    let (Some(case), [result]) = (case, results) else {
        return Err(wasmtime::Error::msg(format!(
            "{} {function}: there is no such resource",
            closed.interface
        )));
    };
    let reason = (case == "unknown").then(|| {
        let text = format!("{} is not supported by this version", closed.interface);
        Box::new(Val::String(text))
    });
    *result = Val::Result(Err(Some(Box::new(Val::Variant(case.to_owned(), reason)))));
    Ok(())
}

/// The case of a function's error that says it: a denial if there is one and it is meant, else
/// `unknown` with words.
fn error_case(result: &Type, denied: bool) -> Option<&'static str> {
    let Type::Result(result) = result else { return None };
    let Some(Type::Variant(error)) = result.err() else { return None };
    let has = |name: &str| error.cases().any(|case| case.name == name);
    if denied && has("capability-denied") {
        Some("capability-denied")
    } else {
        has("unknown").then_some("unknown")
    }
}
