//! wasmtime, the host side of wit/, limits, compiled code
