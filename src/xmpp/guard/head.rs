//! The attributes of a root tag, collected while its bytes pass.

use super::Opening;

/// Number of bytes of an element name that are kept.
const NAME_KEPT: usize = 64;
/// Longest raw attribute value that is kept, in bytes; a JID has at most 3071. A longer value is dropped, never
/// shortened: an answer to a shortened id or address would be an answer to somebody else.
const VALUE_KEPT: usize = 4096;

/// What is known about a top-level element that was not parsed. Entities in the attributes are decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// Element name as written, e.g. `iq`; cut to 64 bytes.
    pub name: String,
    /// Attribute `from`, not parsed.
    pub from: Option<String>,
    /// Attribute `to`, not parsed.
    pub to: Option<String>,
    /// Attribute `id`.
    pub id: Option<String>,
    /// Attribute `type`.
    pub type_: Option<String>,
}

/// The attributes that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeadPart {
    From,
    To,
    Id,
    Type,
    Xmlns,
}

#[derive(Debug, Default)]
struct Value {
    bytes: Vec<u8>,
    state: ValueState,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ValueState {
    #[default]
    Absent,
    Whole,
    Overlong,
}

/// Reusable buffers for one root tag; no allocations once they have grown.
#[derive(Debug, Default)]
pub(super) struct Raw {
    name: Vec<u8>,
    attribute: Vec<u8>,
    values: [Value; 5],
    xmlns: bool,
    xmlns_stream: bool,
}

impl Raw {
    pub(super) fn clear(&mut self) {
        self.name.clear();
        self.attribute.clear();
        self.xmlns = false;
        self.xmlns_stream = false;
        for value in &mut self.values {
            value.bytes.clear();
            value.state = ValueState::Absent;
        }
    }

    pub(super) fn push_name(&mut self, run: &[u8]) {
        push_bounded(&mut self.name, run);
    }

    pub(super) fn begin_attribute(&mut self) {
        self.attribute.clear();
    }

    pub(super) fn push_attribute(&mut self, run: &[u8]) {
        push_bounded(&mut self.attribute, run);
    }

    /// Begins the value of the attribute just named. `in_stream`: the tag belongs to a stanza, not to the stream
    /// header. `None` if the attribute is not kept.
    pub(super) fn begin_value(&mut self, in_stream: bool) -> Option<HeadPart> {
        let part = match self.attribute.as_slice() {
            b"from" => HeadPart::From,
            b"to" => HeadPart::To,
            b"id" => HeadPart::Id,
            b"type" => HeadPart::Type,
            b"xmlns" => {
                self.xmlns = true;
                if in_stream {
                    return None;
                }
                HeadPart::Xmlns
            }
            b"xmlns:stream" => {
                self.xmlns_stream = true;
                return None;
            }
            _ => return None,
        };
        let value = &mut self.values[part as usize];
        // The first one counts. A second one is ill-formed, which the parser reports.
        if value.state != ValueState::Absent {
            return None;
        }
        value.state = ValueState::Whole;
        Some(part)
    }

    pub(super) fn push_value(&mut self, part: HeadPart, run: &[u8]) {
        let value = &mut self.values[part as usize];
        if value.bytes.len() + run.len() > VALUE_KEPT {
            value.state = ValueState::Overlong;
            value.bytes.clear();
        }
        if value.state == ValueState::Whole {
            value.bytes.extend_from_slice(run);
        }
    }

    pub(super) fn has_xmlns(&self) -> bool {
        self.xmlns
    }

    pub(super) fn needs_stream_prefix(&self) -> bool {
        !self.xmlns_stream && self.name.starts_with(b"stream:")
    }

    pub(super) fn is_stream(&self) -> bool {
        self.name == b"stream" || self.name.ends_with(b":stream")
    }

    pub(super) fn opening(&self) -> Opening {
        Opening {
            id: self.value(HeadPart::Id),
            from: self.value(HeadPart::From),
            xmlns: self.value(HeadPart::Xmlns),
        }
    }

    pub(super) fn head(&self) -> Head {
        Head {
            name: String::from_utf8_lossy(&self.name).into_owned(),
            from: self.value(HeadPart::From),
            to: self.value(HeadPart::To),
            id: self.value(HeadPart::Id),
            type_: self.value(HeadPart::Type),
        }
    }

    fn value(&self, part: HeadPart) -> Option<String> {
        let value = &self.values[part as usize];
        if value.state != ValueState::Whole {
            return None;
        }
        decode(std::str::from_utf8(&value.bytes).ok()?)
    }
}

fn push_bounded(name: &mut Vec<u8>, run: &[u8]) {
    let room = NAME_KEPT - name.len();
    name.extend_from_slice(&run[..run.len().min(room)]);
}

/// The value as a parser would return it (XML 1.0, 3.3.3): white space becomes spaces, the five named entities and
/// character references are resolved. `None` if there is any other entity.
fn decode(raw: &str) -> Option<String> {
    let raw = raw.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw.as_str();
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let (entity, after) = rest[at + 1..].split_once(';')?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn entities_are_decoded_and_unknown_ones_lose_the_value() {
        assert_eq!(decode("a&amp;b&#x27;&#65;&quot;").unwrap(), "a&b'A\"");
        assert_eq!(decode("plain").unwrap(), "plain");
        for bad in [
            "a&nbsp;b",
            "a&b",
            "&#xD800;",
            "&#x110000;",
            "&#99999999999;",
            "&;",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
