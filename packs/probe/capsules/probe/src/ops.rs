//! The operations: a thin layer from a name and JSON fields to one call of the SDK.

use std::time::Duration;

use astrid_sdk::prelude::*;
use astrid_sdk::types::CallerContext;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;
type Answer = Result<Value, SysError>;

const MIB: usize = 1024 * 1024;

/// Performs the operation `op`. An unknown name and a missing field are errors that name it.
pub fn perform(op: &str, fields: &Fields) -> Answer {
    match op {
        "echo" => Ok(Value::Object(fields.clone())),
        name if name.starts_with("fs_") => files(name, fields),
        name if name.starts_with("kv_") => store(name, fields),
        "publish" | "recv" | "request" | "subscribe_many" | "publish_many" => bus(op, fields),
        _ => system(op, fields),
    }
}

/// What a member of an ordered chain does: `{"deny": "why"}` refuses, anything else gets a mark.
pub fn chain(mut event: Value) -> Answer {
    if let Some(reason) = event.get("deny").and_then(Value::as_str) {
        return Err(SysError::ApiError(reason.to_owned()));
    }
    if let Some(object) = event.as_object_mut() {
        object.insert("probe".to_owned(), json!(true));
    }
    Ok(event)
}

fn files(op: &str, fields: &Fields) -> Answer {
    let path = text(fields, "path")?;
    match op {
        "fs_read" => Ok(shown(&fs::read(path)?)),
        "fs_write" => fs::write(path, &body(fields)?).map(|()| json!(true)),
        "fs_append" => fs::append(path, &body(fields)?).map(|()| json!(true)),
        "fs_exists" => Ok(json!(fs::exists(path)?)),
        "fs_list" => {
            let mut names: Vec<String> =
                fs::read_dir(path)?.map(|entry| entry.file_name().to_owned()).collect();
            names.sort();
            Ok(json!(names))
        }
        "fs_stat" => Ok(metadata(&fs::metadata(path)?)),
        "fs_lstat" => Ok(metadata(&fs::symlink_metadata(path)?)),
        "fs_mkdir" => fs::create_dir(path).map(|()| json!(true)),
        "fs_mkdir_all" => fs::create_dir_all(path).map(|()| json!(true)),
        "fs_delete" => fs::remove_file(path).map(|()| json!(true)),
        "fs_delete_tree" => Ok(json!(fs::remove_dir_all(path)?)),
        "fs_rename" => fs::rename(path, text(fields, "to")?).map(|()| json!(true)),
        "fs_copy" => fs::copy(path, text(fields, "to")?).map(|()| json!(true)),
        "fs_hard_link" => fs::hard_link(path, text(fields, "to")?).map(|()| json!(true)),
        "fs_read_link" => Ok(json!(fs::read_link(path)?)),
        "fs_canonicalize" => Ok(json!(fs::canonicalize(path)?)),
        "fs_read_at" => {
            let file = fs::File::open(path)?;
            let max = u32::try_from(number(fields, "len")?).unwrap_or(u32::MAX);
            Ok(shown(&file.read_at(number(fields, "offset")?, max)?))
        }
        "fs_write_at" => {
            let file = fs::File::open_mode(path, fs::OpenMode::ReadWrite)?;
            let written = file.write_at(number(fields, "offset")?, &body(fields)?)?;
            file.sync_all()?;
            Ok(json!({ "written": written, "size": file.metadata()?.len() }))
        }
        "fs_truncate" => {
            let file = fs::File::open_mode(path, fs::OpenMode::ReadWrite)?;
            file.set_len(number(fields, "len")?).map(|()| json!(true))
        }
        // Opens the file `count` times and keeps every handle: where is the limit?
        "fs_open_many" => {
            let mut open = Vec::new();
            for _ in 0..number(fields, "count")? {
                open.push(fs::File::open(path)?);
            }
            Ok(json!(open.len()))
        }
        _ => Err(unknown(op)),
    }
}

fn store(op: &str, fields: &Fields) -> Answer {
    match op {
        "kv_get" => match kv::get_bytes_opt(text(fields, "key")?)? {
            Some(bytes) => Ok(shown(&bytes)),
            None => Ok(json!({ "absent": true })),
        },
        "kv_set" => kv::set_bytes(text(fields, "key")?, &body(fields)?).map(|()| json!(true)),
        "kv_delete" => kv::delete(text(fields, "key")?).map(|()| json!(true)),
        "kv_list" => Ok(json!(kv::list_keys(text(fields, "prefix")?)?)),
        "kv_page" => {
            let limit = u32::try_from(number(fields, "limit")?).unwrap_or(u32::MAX);
            let cursor = fields.get("cursor").and_then(Value::as_str);
            let page = kv::list_keys_page(text(fields, "prefix")?, cursor, limit)?;
            Ok(json!({ "keys": page.keys, "next": page.next_cursor }))
        }
        "kv_clear" => Ok(json!(kv::clear_prefix(text(fields, "prefix")?)?)),
        "kv_cas" => {
            let expected = fields.get("expected").and_then(Value::as_str).map(str::as_bytes);
            Ok(json!(kv::cas(text(fields, "key")?, expected, &body(fields)?)?))
        }
        _ => Err(unknown(op)),
    }
}

fn bus(op: &str, fields: &Fields) -> Answer {
    match op {
        "publish" => {
            let payload = fields.get("payload").cloned().unwrap_or_else(|| json!({}));
            ipc::publish_json(text(fields, "topic")?, &payload).map(|()| json!(true))
        }
        // Publishes `count` messages as fast as the host lets it: where is the limit?
        "publish_many" => {
            let topic = text(fields, "topic")?;
            let count = number(fields, "count")?;
            for index in 0..count {
                ipc::publish_json(topic, &json!({ "index": index }))?;
            }
            Ok(json!(count))
        }
        // Subscribes, optionally publishes `then_publish` = [topic, payload], and waits for one message.
        "recv" => {
            let subscription = ipc::subscribe(text(fields, "pattern")?)?;
            if let Some([topic, payload]) =
                fields.get("then_publish").and_then(Value::as_array).map(Vec::as_slice)
            {
                ipc::publish_json(topic.as_str().unwrap_or_default(), payload)?;
            }
            let result = subscription.recv(number(fields, "timeout_ms")?)?;
            let messages: Vec<Value> = result
                .messages
                .iter()
                .map(|message| {
                    json!({
                        "topic": message.topic,
                        "payload": message.payload,
                        "source_id": message.source_id,
                        "verified": message.principal.verified(),
                    })
                })
                .collect();
            Ok(json!({ "messages": messages, "dropped": result.dropped, "lagged": result.lagged }))
        }
        "request" => {
            let request = fields.get("body").cloned().unwrap_or_else(|| json!({}));
            ipc::request_response::<Value, Value>(
                text(fields, "topic")?,
                text(fields, "namespace")?,
                &request,
                number(fields, "timeout_ms")?,
            )
        }
        "subscribe_many" => {
            let mut open = Vec::new();
            for _ in 0..number(fields, "count")? {
                open.push(ipc::subscribe(text(fields, "pattern")?)?);
            }
            Ok(json!(open.len()))
        }
        _ => Err(unknown(op)),
    }
}

fn system(op: &str, fields: &Fields) -> Answer {
    match op {
        "config" => Ok(json!(env::var_opt(text(fields, "key")?)?)),
        "caller" => {
            let CallerContext { source_id, principal, timestamp } = runtime::caller()?;
            Ok(json!({ "source_id": source_id, "principal": principal, "timestamp": timestamp }))
        }
        "clock" => {
            let now = time::now()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let monotonic = time::monotonic().as_nanos().to_string();
            Ok(json!({ "unix_ms": now.as_millis().to_string(), "monotonic_ns": monotonic }))
        }
        "sleep" => time::sleep(Duration::from_millis(number(fields, "ms")?)).map(|()| json!(true)),
        "random" => {
            let len = usize::try_from(number(fields, "len")?).unwrap_or(usize::MAX);
            Ok(shown(&runtime::random_bytes(len)?))
        }
        "log" => {
            let message = text(fields, "message")?;
            match text(fields, "level")? {
                "error" => log::error(message),
                "warn" => log::warn(message),
                "debug" => log::debug(message),
                "trace" => log::trace(message),
                _ => log::info(message),
            }
            Ok(json!(true))
        }
        "capabilities" => Ok(json!(capabilities::enumerate())),
        "check" => Ok(json!(capabilities::check(text(fields, "uuid")?, text(fields, "capability")?)?)),
        "approve" => Ok(json!(approval::request(text(fields, "action")?, text(fields, "resource")?)?)),
        "elicit" => Ok(json!(elicit::text(text(fields, "key")?, text(fields, "description")?)?)),
        "has_secret" => Ok(json!(elicit::has_secret(text(fields, "key")?)?)),
        "spin" => spin(),
        "allocate" => allocate(usize::try_from(number(fields, "mib")?).unwrap_or(usize::MAX)),
        "recurse" => Ok(json!(recurse(number(fields, "depth")?))),
        "big_answer" => {
            let len = usize::try_from(number(fields, "mib")?).unwrap_or(0).saturating_mul(MIB);
            Ok(json!("x".repeat(len)))
        }
        "panic" => trap(text(fields, "message")?),
        _ => Err(unknown(op)),
    }
}

/// Never returns: only the host's time limit ends it.
fn spin() -> Answer {
    let mut turns: u64 = 0;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
        if turns == u64::MAX {
            return Ok(json!(turns.to_string()));
        }
    }
}

/// Takes memory one MiB at a time and touches it; the host's limit decides how far it gets.
fn allocate(mib: usize) -> Answer {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mib {
        let mut block: Vec<u8> = Vec::new();
        if block.try_reserve_exact(MIB).is_err() {
            return Err(SysError::ApiError(format!("out of memory after {} MiB", held.len())));
        }
        block.resize(MIB, 1);
        held.push(std::hint::black_box(block));
    }
    Ok(json!(held.len()))
}

fn recurse(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if depth == 0 { 0 } else { recurse(depth - 1).wrapping_add(here[(depth % 64) as usize] & 1) }
}

#[expect(clippy::panic, reason = "the trap is what the test asks for")]
fn trap(message: &str) -> Answer {
    panic!("{message}")
}

fn metadata(found: &fs::Metadata) -> Value {
    let modified = found
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|since| since.as_secs());
    json!({
        "size": found.len(),
        "is_dir": found.is_dir(),
        "is_file": found.is_file(),
        "is_symlink": found.is_symlink(),
        "mode": found.mode(),
        "modified": modified,
    })
}

/// Text as text, anything else as its length and first bytes: a test can compare both.
fn shown(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text, "len": bytes.len() }),
        Err(_) => json!({ "bytes": &bytes[..bytes.len().min(64)], "len": bytes.len() }),
    }
}

/// What to write: `text`, or `len` bytes of filler for tests of limits.
fn body(fields: &Fields) -> Result<Vec<u8>, SysError> {
    if let Some(text) = fields.get("text").and_then(Value::as_str) {
        return Ok(text.as_bytes().to_vec());
    }
    let len = number(fields, "len")?;
    Ok(vec![b'x'; usize::try_from(len).unwrap_or(0)])
}

fn text<'a>(fields: &'a Fields, name: &str) -> Result<&'a str, SysError> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| SysError::ApiError(format!("the field `{name}` is missing or not a string")))
}

fn number(fields: &Fields, name: &str) -> Result<u64, SysError> {
    fields
        .get(name)
        .and_then(Value::as_u64)
        .ok_or_else(|| SysError::ApiError(format!("the field `{name}` is missing or not a number")))
}

fn unknown(op: &str) -> SysError {
    SysError::ApiError(format!("unknown operation `{op}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_returns_its_fields() {
        let mut fields = Fields::new();
        fields.insert("a".to_owned(), json!(1));
        assert_eq!(perform("echo", &fields).unwrap(), json!({ "a": 1 }));
    }

    #[test]
    fn an_unknown_operation_is_named() {
        let error = perform("nonsense", &Fields::new()).unwrap_err().to_string();
        assert!(error.contains("`nonsense`"), "{error}");
    }

    #[test]
    fn a_missing_field_is_named_before_any_call() {
        let error = perform("fs_read", &Fields::new()).unwrap_err().to_string();
        assert!(error.contains("`path`"), "{error}");
    }

    #[test]
    fn the_chain_marks_and_refuses() {
        assert_eq!(chain(json!({ "x": 1 })).unwrap(), json!({ "x": 1, "probe": true }));
        assert!(chain(json!({ "deny": "no" })).is_err());
    }
}
