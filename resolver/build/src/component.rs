//! A WebAssembly component, made from a core module.
//!
//! The compiler leaves a core module that carries its interface in a custom section. It becomes a
//! component here, in process, and loses every custom section that says how it was made: those differ
//! between machines, and nothing at run time reads them.

use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

/// Why bytes are not a component, and can't become one.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// Neither a core module nor a component.
    #[error("these bytes are not WebAssembly: they must start with `\\0asm`")]
    NotWasm,
    /// The module breaks a rule of the format.
    #[error("the WebAssembly is malformed: {0}")]
    Malformed(String),
    /// The module carries no interface, or a wrong one.
    #[error(
        "the module can't become a component: {0}; a capsule in Rust depends on `astrid-sdk` and marks \
         its `impl` block with `#[capsule]`"
    )]
    NotEncodable(String),
}

/// Makes a validated component out of what a compiler wrote. A component is returned as it is.
///
/// The same module gives the same bytes on every machine.
///
/// # Errors
/// When the bytes are not WebAssembly, or the module carries no usable interface.
pub fn componentise(bytes: &[u8]) -> Result<Vec<u8>, ComponentError> {
    if Parser::is_component(bytes) {
        return Ok(bytes.to_vec());
    }
    if !Parser::is_core_wasm(bytes) {
        return Err(ComponentError::NotWasm);
    }
    let not_encodable = |error: &dyn std::fmt::Display| ComponentError::NotEncodable(format!("{error:#}"));
    let component = ComponentEncoder::default()
        .validate(true)
        .module(bytes)
        .map_err(|error| not_encodable(&error))?
        .encode()
        .map_err(|error| not_encodable(&error))?;
    strip(&component)
}

/// The version of the library that makes components, as it writes it into what it encodes.
///
/// # Errors
/// When that library stops saying so, which a test would notice.
pub fn encoder_version() -> Result<String, ComponentError> {
    let missing = |error: &dyn std::fmt::Display| {
        ComponentError::Malformed(format!("the encoder does not name its version: {error}"))
    };
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve
        .push_str("version.wit", "package astrid:version; world none {}")
        .map_err(|error| missing(&error))?;
    let world = resolve.select_world(&[package], None).map_err(|error| missing(&error))?;
    let section = wit_component::metadata::encode(&resolve, world, wit_component::StringEncoding::UTF8, None)
        .map_err(|error| missing(&error))?;
    for payload in Parser::new(0).parse_all(&section) {
        let Payload::CustomSection(custom) = payload.map_err(malformed)? else { continue };
        let wasmparser::KnownCustom::Producers(fields) = custom.as_known() else { continue };
        for field in fields {
            for value in field.map_err(malformed)?.values {
                let value = value.map_err(malformed)?;
                if value.name == "wit-component" {
                    return Ok(value.version.to_owned());
                }
            }
        }
    }
    Err(missing(&"it names no producer"))
}

const PREAMBLE: usize = 8;
const CUSTOM_SECTION: u8 = 0;
const CORE_MODULE_SECTION: u8 = 1;

/// Drops the custom sections of a component and of the core modules in it.
fn strip(component: &[u8]) -> Result<Vec<u8>, ComponentError> {
    rewrite(component, true)
}

/// A module and a component have the same frame: a preamble, then sections of an id byte, a length in
/// LEB128 and that many bytes. Rewriting frames needs no knowledge of what is in them.
fn rewrite(bytes: &[u8], is_component: bool) -> Result<Vec<u8>, ComponentError> {
    let truncated = || ComponentError::Malformed("a section ends beyond the file".to_owned());
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(bytes.get(..PREAMBLE).ok_or_else(truncated)?);
    let mut rest = bytes.get(PREAMBLE..).ok_or_else(truncated)?;
    while let Some((&id, after_id)) = rest.split_first() {
        let (length, after_length) = read_leb(after_id).ok_or_else(truncated)?;
        let body = after_length.get(..length).ok_or_else(truncated)?;
        rest = after_length.get(length..).ok_or_else(truncated)?;
        if id == CUSTOM_SECTION {
            continue;
        }
        let stripped =
            (is_component && id == CORE_MODULE_SECTION).then(|| rewrite(body, false)).transpose()?;
        let body = stripped.as_deref().unwrap_or(body);
        out.push(id);
        write_leb(&mut out, body.len());
        out.extend_from_slice(body);
    }
    Ok(out)
}

fn read_leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

fn write_leb(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn malformed(error: wasmparser::BinaryReaderError) -> ComponentError {
    ComponentError::Malformed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_survive_a_round_trip() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 27] {
            let mut bytes = Vec::new();
            write_leb(&mut bytes, value);
            assert_eq!(read_leb(&bytes), Some((value, &[][..])));
        }
        assert_eq!(read_leb(&[0x80]), None);
    }

    #[test]
    fn the_encoder_names_its_version() {
        let version = encoder_version().unwrap();
        assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{version}");
    }

    #[test]
    fn bytes_that_are_not_wasm_are_refused() {
        assert!(matches!(componentise(b"#!/bin/sh"), Err(ComponentError::NotWasm)));
    }

    #[test]
    fn a_module_whose_imports_no_interface_explains_is_refused() {
        let module = wat::parse_str("(module (import \"env\" \"f\" (func)))").unwrap();
        let error = componentise(&module).unwrap_err();
        assert!(matches!(error, ComponentError::NotEncodable(_)), "{error}");
        assert!(error.to_string().contains("astrid-sdk"), "{error}");
    }

    #[test]
    fn custom_sections_are_dropped_and_a_component_is_kept_as_it_is() {
        let module = wat::parse_str("(module $named (func $f) (@custom \"note\" \"made here\"))").unwrap();
        let component = componentise(&module).unwrap();
        assert!(!component.windows(9).any(|bytes| bytes == b"made here"));
        wasmparser::validate(&component).unwrap();
        assert_eq!(componentise(&component).unwrap(), component);
    }
}
