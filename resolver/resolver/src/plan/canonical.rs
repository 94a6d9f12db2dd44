//! The one writer of canonical JSON: sorted keys, two spaces, a final line feed.
//!
//! Sorting happens here and not in the types, so that the order of fields in the code, or a feature
//! of the JSON library that another crate turns on, can't change the bytes.

use serde::Serialize;
use serde_json::Value;

/// The value as canonical JSON: the same value gives the same bytes on every platform.
///
/// # Errors
/// When the value has no JSON form, such as a map with keys that aren't text.
pub fn to_canonical_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = String::new();
    write_value(&mut out, &serde_json::to_value(value)?, 0);
    out.push('\n');
    Ok(out.into_bytes())
}

fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "\n" } else { ",\n" });
                indent(out, depth + 1);
                write_value(out, item, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by(|one, two| one.0.cmp(two.0));
            out.push('{');
            for (index, (key, field)) in fields.into_iter().enumerate() {
                out.push_str(if index == 0 { "\n" } else { ",\n" });
                indent(out, depth + 1);
                out.push_str(&Value::String(key.clone()).to_string());
                out.push_str(": ");
                write_value(out, field, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push('}');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_empty_containers_stay_short() {
        let value = serde_json::json!({ "b": [1, { "d": "x\n", "c": [] }], "a": {} });
        let text = String::from_utf8(to_canonical_json(&value).unwrap()).unwrap();
        assert_eq!(
            text,
            "{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"c\": [],\n      \"d\": \"x\\n\"\n    }\n  ]\n}\n"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
