//! The two forms of a payload: as it travels, and as a guest sees it.
//!
//! On the wire a payload may be wrapped as `{"type":"raw_json","value":…}` or
//! `{"type":"custom","data":…}`. Guests and clients see what is inside. Every other payload, with a
//! known `type` or none, is seen as it is.

use std::borrow::Cow;

use serde_json::Value;

/// Takes the wrapping off, if there is one.
fn unwrapped(payload: &mut Value) -> Option<Value> {
    let object = payload.as_object_mut()?;
    let inner = match object.get("type").and_then(Value::as_str) {
        Some("raw_json") => "value",
        Some("custom") => "data",
        _ => return None,
    };
    object.remove(inner)
}

/// The payload `text` as a guest sees it.
pub fn guest_form(text: &str) -> Cow<'_, str> {
    // Parsing is only worth it where one of the two names occurs at all.
    if !text.contains("raw_json") && !text.contains("custom") {
        return Cow::Borrowed(text);
    }
    match serde_json::from_str(text).ok().as_mut().and_then(unwrapped) {
        Some(value) => Cow::Owned(value.to_string()),
        None => Cow::Borrowed(text),
    }
}

/// As [`guest_form`], for a payload that is parsed.
pub fn guest_value(mut payload: Value) -> Value {
    unwrapped(&mut payload).unwrap_or(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappings_are_taken_off() {
        assert_eq!(guest_form(r#"{"type":"raw_json","value":{"a":1}}"#), r#"{"a":1}"#);
        assert_eq!(guest_form(r#"{"type":"custom","data":null}"#), "null");
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            r#"{"type":"user_input","text":"custom raw_json"}"#,
            r#"{ "type" : "custom" }"#,
            r#""custom""#,
            r#"{"kind":"custom","data":1}"#,
            "[1, 2]",
        ] {
            assert_eq!(guest_form(text), text);
        }
    }
}
