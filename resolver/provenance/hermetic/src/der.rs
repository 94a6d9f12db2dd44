//! The little DER that certificates and timestamps need.

/// The object identifier of SHA-256.
pub const SHA256: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];
/// The object identifier of ECDSA with SHA-256.
pub const ECDSA_SHA256: &[u64] = &[1, 2, 840, 10045, 4, 3, 2];

/// A value with its tag and length.
#[must_use]
pub fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length) if length < 128 => out.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let first = length.iter().position(|byte| *byte != 0).unwrap();
            out.push(0x80 | u8::try_from(length.len() - first).unwrap());
            out.extend_from_slice(&length[first..]);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of values.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(0x30, &parts.concat())
}

/// A set of values, sorted as DER wants it.
#[must_use]
pub fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    value(0x31, &parts.concat())
}

/// A number that is not negative.
#[must_use]
pub fn integer(number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let mut content = bytes[first..].to_vec();
    if content[0] & 0x80 != 0 {
        content.insert(0, 0);
    }
    value(0x02, &content)
}

/// Bytes.
#[must_use]
pub fn octets(content: &[u8]) -> Vec<u8> {
    value(0x04, content)
}

/// A UTF-8 text.
#[must_use]
pub fn text(content: &str) -> Vec<u8> {
    value(0x0c, content.as_bytes())
}

/// An object identifier.
#[must_use]
pub fn object(arcs: &[u64]) -> Vec<u8> {
    let mut content = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let mut rest = *arc;
        let mut digits = vec![u8::try_from(rest & 0x7f).unwrap()];
        rest >>= 7;
        while rest > 0 {
            digits.insert(0, 0x80 | u8::try_from(rest & 0x7f).unwrap());
            rest >>= 7;
        }
        content.extend(digits);
    }
    value(0x06, &content)
}

/// One value that was read.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its tag.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
    /// All of it, with tag and length.
    pub whole: &'a [u8],
}

/// The values that stand in `der` one after the other, or nothing when they can't be read.
#[must_use]
pub fn parts(mut der: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut found = Vec::new();
    while let [tag, length, ..] = *der {
        let (length, head) = if length < 128 {
            (usize::from(length), 2)
        } else {
            let head = 2 + usize::from(length & 0x7f);
            let digits = der.get(2..head).filter(|digits| digits.len() <= 4)?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), head)
        };
        let whole = der.get(..head.checked_add(length)?)?;
        found.push(Part { tag, content: &whole[head..], whole });
        der = &der[whole.len()..];
    }
    der.is_empty().then_some(found)
}

/// The values in the one value that `der` is.
#[must_use]
pub fn inside(der: &[u8]) -> Option<Vec<Part<'_>>> {
    parts(parts(der)?.first()?.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let der = sequence(&[&integer(300), &octets(&[7; 200]), &object(SHA256), &text("ada")]);
        let inside = inside(&der).unwrap();
        let tags: Vec<u8> = inside.iter().map(|part| part.tag).collect();
        assert_eq!(tags, [0x02, 0x04, 0x06, 0x0c]);
        assert_eq!(inside[0].content, [1, 44]);
        assert_eq!(inside[1].content, [7; 200]);
        assert_eq!(hex::encode(inside[2].content), "608648016503040201");
        assert_eq!(inside[3].whole, text("ada"));
    }

    #[test]
    fn what_is_cut_off_is_denied() {
        for der in [&[0x30][..], &[0x30, 1], &[0x30, 0x82, 1], &[0x30, 0x85, 1, 1, 1, 1, 1, 1]] {
            assert!(parts(der).is_none(), "{der:?}");
        }
    }
}
