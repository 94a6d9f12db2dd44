//! The host side of `wit/`: what a capsule may call.
//!
//! Every gate is here, right before the effect. The order is always: is it well formed, is it
//! granted, is it within the limits, do it.

mod closed;
mod fs;
mod io;
mod ipc;
mod kv;
mod sys;

use wasmtime::component::{HasData, Linker};

use crate::state::CallState;

#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, reason = "generated")]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package astrid:served;
            world served {
                import astrid:io/poll@1.0.0;
                import astrid:fs/host@1.0.0;
                import astrid:ipc/host@1.0.0;
                import astrid:kv/host@1.0.0;
                import astrid:sys/host@1.0.0;
            }
        ",
        world: "astrid:served/served",
        imports: {
            "astrid:io/poll@1.0.0.poll": async,
            "astrid:io/poll@1.0.0.[method]pollable.block": async,
            "astrid:ipc/host@1.0.0.[method]subscription.recv": async,
            "astrid:kv/host@1.0.0.kv-set": async,
            "astrid:kv/host@1.0.0.kv-delete": async,
            "astrid:kv/host@1.0.0.kv-clear-prefix": async,
            "astrid:kv/host@1.0.0.kv-cas": async,
            "astrid:sys/host@1.0.0.sleep-ns": async,
        },
        with: {
            "astrid:io/poll@1.0.0.pollable": crate::calls::io::Pollable,
            "astrid:fs/host@1.0.0.file-handle": crate::files::operations::Handle,
            "astrid:ipc/host@1.0.0.subscription": crate::calls::ipc::Received,
        },
        require_store_data_send: true,
    });
}

/// Gives host functions the state of the call.
struct OfCall;

impl HasData for OfCall {
    type Data<'a> = &'a mut CallState;
}

/// Defines everything that a component may import.
pub(crate) fn add_to(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    use bindings::astrid::{fs, io, ipc, kv, sys};
    fn own(state: &mut CallState) -> &mut CallState {
        state
    }
    // Only types, but it has to be there.
    linker.instance("astrid:guest/lifecycle@1.0.0")?;
    io::poll::add_to_linker::<_, OfCall>(linker, own)?;
    fs::host::add_to_linker::<_, OfCall>(linker, own)?;
    ipc::host::add_to_linker::<_, OfCall>(linker, own)?;
    kv::host::add_to_linker::<_, OfCall>(linker, own)?;
    sys::host::add_to_linker::<_, OfCall>(linker, own)?;
    closed::add_to(linker)
}
