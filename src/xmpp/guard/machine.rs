//! The state machine that cuts frames: it processes runs of bytes and looks at each byte once.

use super::head::{HeadPart, Raw};
use super::{BadStream, Excess, Frame, Limits, Sender, Trust};

/// Maximum size of the stream header and XML declaration together, in bytes.
const PROLOG_BYTES: usize = 16 * 1024;

/// Approximate memory of an element in a tree beyond its bytes on the wire.
const ELEMENT_COST: usize = 512;
/// Approximate memory of an attribute in a tree beyond its bytes on the wire.
const ATTRIBUTE_COST: usize = 128;

const CDATA: &[u8] = b"[CDATA[";
pub(super) const SPLICE: &[u8] = b" xmlns='jabber:component:accept'";
pub(super) const SPLICE_STREAM: &[u8] = b" xmlns:stream='http://etherx.jabber.org/streams'";

/// The state machine. Feed it with [`Guard::next`]; use one guard per stream.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    /// Who may send large stanzas; `None`: everybody.
    trust: Option<Trust>,
    /// The sender of this stanza, if it had to be determined.
    sender: Option<Sender>,
    /// Whether the root tag of the stanza has been read.
    has_root: bool,
    at: Position,
    /// Whether the stream header has been read.
    open: bool,
    closed: bool,
    /// Number of open elements below the stream. All are counted, at most `limits.depth` are stored.
    depth: usize,
    elements: usize,
    attributes: usize,
    /// Number of attributes of all elements of the stanza.
    all_attributes: usize,
    value_bytes: usize,
    /// The current attribute, if it is kept.
    part: Option<HeadPart>,
    raw: Raw,
    /// The bytes of the current stanza, or of the XML declaration; empty while a stanza is rejected.
    pub(super) stored: Vec<u8>,
    /// Number of bytes of the stanza or the prolog so far.
    seen: usize,
    excess: Option<Excess>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Character data, or nothing between stanzas.
    Text,
    /// After `<`.
    Less,
    /// In the start tag of an inner element, where only its end and quotes matter; true after a `/`.
    Inner(bool),
    /// In the name of a root tag. This state and the following ones parse attributes.
    Name,
    /// Between attributes.
    Tag,
    /// In the name of an attribute.
    Attribute,
    /// After the name of an attribute, up to its quote.
    Equals,
    /// In a value; with its quote character.
    Value(u8),
    /// After `/` in a start tag.
    Slash,
    /// In an end tag.
    EndTag,
    /// After `<!`; with the number of bytes of `[CDATA[` seen.
    Bang(usize),
    /// In a CDATA section; with the number of `]` in a row.
    CData(u8),
    /// In the XML declaration; true after a `?`.
    Declaration(bool),
}

/// The result of one step; becomes a [`Frame`].
enum Scanned {
    Open,
    Element,
    Close,
}

impl Guard {
    /// A guard for the beginning of a stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Guard {
            limits,
            trust: None,
            sender: None,
            has_root: false,
            at: Position::Text,
            open: false,
            closed: false,
            depth: 0,
            elements: 0,
            attributes: 0,
            all_attributes: 0,
            value_bytes: 0,
            part: None,
            raw: Raw::default(),
            stored: Vec::new(),
            seen: 0,
            excess: None,
        }
    }

    /// From now on only senders that `trust` names may send stanzas larger than a stranger's; `None`: everybody.
    pub fn trust(&mut self, trust: Option<Trust>) {
        self.trust = trust;
    }

    /// Approximate memory of the last whole stanza once it is parsed, in bytes.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.stored.len() + ELEMENT_COST * self.elements + ATTRIBUTE_COST * self.all_attributes
    }

    /// A guard for the position after the stream header.
    pub(super) fn in_stream(limits: Limits) -> Self {
        Guard {
            open: true,
            ..Guard::new(limits)
        }
    }

    /// Consumes bytes from the front of `input` up to the end of the next frame. `None`: everything was consumed and
    /// no frame has ended.
    ///
    /// # Errors
    /// [`BadStream`] ends the stream; the guard cannot be used any more.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Frame<'_>>, BadStream> {
        let Some(found) = self.step(input)? else {
            return Ok(None);
        };
        Ok(Some(match found {
            Scanned::Open => Frame::Open(self.raw.opening()),
            Scanned::Close => Frame::Close,
            Scanned::Element => match self.excess {
                Some(why) => Frame::Rejected {
                    head: self.raw.head(),
                    why,
                },
                None => Frame::Whole(&self.stored),
            },
        }))
    }

    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Scanned>, BadStream> {
        let bytes = *input;
        // Bytes before `kept` are already stored or dropped.
        let mut kept = 0;
        let mut i = 0;
        while i < bytes.len() {
            if self.closed {
                i = bytes.len();
                break;
            }
            let byte = bytes[i];
            match self.at {
                Position::Text => {
                    let rest = &bytes[i..];
                    let less = memchr::memchr(b'<', rest);
                    let text = &rest[..less.unwrap_or(rest.len())];
                    if !self.open {
                        if !text.iter().all(u8::is_ascii_whitespace) {
                            return Err(BadStream::NotAStream);
                        }
                        self.count_prolog(text.len())?;
                    }
                    i += text.len();
                    if less.is_some() {
                        if self.depth == 0 {
                            kept = i;
                        }
                        self.at = Position::Less;
                        i += 1;
                    }
                    continue;
                }
                Position::Less => match byte {
                    b'/' if self.open => self.at = Position::EndTag,
                    b'/' => return Err(BadStream::NotAStream),
                    b'!' if self.open => self.at = Position::Bang(0),
                    b'?' if !self.open && self.seen == 0 => self.at = Position::Declaration(false),
                    b'!' | b'?' => return Err(BadStream::Restricted),
                    _ => {
                        if self.depth == 0 {
                            self.begin();
                            kept = i;
                        }
                        self.enter();
                        self.at = if self.depth > 1 {
                            Position::Inner(false)
                        } else {
                            Position::Name
                        };
                        continue;
                    }
                },
                Position::Inner(slash) => {
                    let rest = &bytes[i..];
                    let stop = memchr::memchr3(b'>', b'"', b'\'', rest);
                    let run = &rest[..stop.unwrap_or(rest.len())];
                    let slash = run.last().map_or(slash, |last| *last == b'/');
                    i += run.len();
                    match stop.map(|stop| rest[stop]) {
                        None => self.at = Position::Inner(slash),
                        Some(b'>') => {
                            i += 1;
                            self.at = Position::Text;
                            // The root is still open: no frame ends here.
                            self.depth -= usize::from(slash);
                        }
                        Some(quote) => {
                            i += 1;
                            self.count_attribute();
                            self.begin_value(None, quote);
                        }
                    }
                    continue;
                }
                Position::Name => {
                    let run = name_at(&bytes[i..]);
                    self.raw.push_name(run);
                    i += run.len();
                    if i < bytes.len() {
                        self.at = Position::Tag;
                    }
                    continue;
                }
                Position::Tag => match byte {
                    b'/' => self.at = Position::Slash,
                    b'>' => {
                        i += 1;
                        if let Some(found) = self.end_root_tag(false, bytes, &mut kept, i)? {
                            *input = &bytes[i..];
                            return Ok(Some(found));
                        }
                        continue;
                    }
                    b' ' | b'\t' | b'\r' | b'\n' => {}
                    _ => {
                        self.count_attribute();
                        self.raw.begin_attribute();
                        self.at = Position::Attribute;
                        continue;
                    }
                },
                Position::Attribute => {
                    let run = name_at(&bytes[i..]);
                    self.raw.push_attribute(run);
                    i += run.len();
                    if i < bytes.len() {
                        self.at = Position::Equals;
                    }
                    continue;
                }
                Position::Equals => match byte {
                    b'"' | b'\'' => {
                        let part = self.raw.begin_value(self.open);
                        self.begin_value(part, byte);
                    }
                    // An attribute without a value is ill-formed, which the parser reports.
                    b'>' | b'/' => {
                        self.at = Position::Tag;
                        continue;
                    }
                    _ => {}
                },
                Position::Value(quote) => {
                    let rest = &bytes[i..];
                    let end = memchr::memchr(quote, rest);
                    let run = &rest[..end.unwrap_or(rest.len())];
                    self.value_bytes = self.value_bytes.saturating_add(run.len());
                    if self.value_bytes > self.limits.attribute_bytes
                        && self.sender() != Some(Sender::Module)
                    {
                        self.reject(Excess::AttributeBytes);
                    }
                    if let Some(part) = self.part {
                        self.raw.push_value(part, run);
                    }
                    i += run.len();
                    if end.is_some() {
                        self.at = if self.depth > 1 {
                            Position::Inner(false)
                        } else {
                            Position::Tag
                        };
                        i += 1;
                    }
                    continue;
                }
                Position::Slash => {
                    if byte == b'>' {
                        i += 1;
                        if let Some(found) = self.end_root_tag(true, bytes, &mut kept, i)? {
                            *input = &bytes[i..];
                            return Ok(Some(found));
                        }
                    } else {
                        self.at = Position::Tag;
                    }
                    continue;
                }
                Position::EndTag => {
                    let Some(end) = memchr::memchr(b'>', &bytes[i..]) else {
                        i = bytes.len();
                        break;
                    };
                    i += end + 1;
                    self.at = Position::Text;
                    if self.depth == 0 {
                        self.closed = true;
                        *input = &bytes[i..];
                        return Ok(Some(Scanned::Close));
                    }
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.keep(&bytes[kept..i]);
                        *input = &bytes[i..];
                        return Ok(Some(Scanned::Element));
                    }
                    continue;
                }
                Position::Bang(seen) => {
                    if byte != CDATA[seen] {
                        return Err(BadStream::Restricted);
                    }
                    self.at = if seen + 1 == CDATA.len() {
                        Position::CData(0)
                    } else {
                        Position::Bang(seen + 1)
                    };
                }
                Position::CData(0) => match memchr::memchr(b']', &bytes[i..]) {
                    Some(at) => {
                        i += at;
                        self.at = Position::CData(1);
                    }
                    None => {
                        i = bytes.len();
                        break;
                    }
                },
                Position::CData(brackets) => {
                    self.at = match byte {
                        b']' => Position::CData(2),
                        b'>' if brackets == 2 => Position::Text,
                        _ => Position::CData(0),
                    }
                }
                Position::Declaration(question) => {
                    self.count_prolog(1)?;
                    if question && byte == b'>' {
                        let is_xml = self.stored.strip_prefix(b"xml").and_then(<[u8]>::first);
                        if !is_xml.is_some_and(u8::is_ascii_whitespace) {
                            return Err(BadStream::Restricted);
                        }
                        self.stored.clear();
                        self.at = Position::Text;
                    } else {
                        self.stored.push(byte);
                        self.at = Position::Declaration(byte == b'?');
                    }
                }
            }
            i += 1;
        }
        *input = &bytes[i..];
        if self.depth > 0 {
            self.keep(&bytes[kept..i]);
        } else if !self.open
            && !matches!(
                self.at,
                Position::Text | Position::Less | Position::Declaration(_)
            )
        {
            self.count_prolog(i - kept)?;
        }
        Ok(None)
    }

    /// Begins the name of a top-level element, or of the stream itself.
    fn begin(&mut self) {
        self.raw.clear();
        self.elements = 0;
        self.all_attributes = 0;
        self.excess = None;
        self.sender = None;
        self.has_root = false;
        self.stored.clear();
        if self.open {
            self.seen = 0;
            self.keep(b"<");
        }
    }

    /// Begins a start tag.
    fn enter(&mut self) {
        self.attributes = 0;
        if !self.open {
            return;
        }
        self.depth += 1;
        self.elements = self.elements.saturating_add(1);
        if self.depth > self.limits.depth {
            self.reject(Excess::Depth);
        }
        self.measure();
    }

    fn count_attribute(&mut self) {
        self.attributes += 1;
        self.all_attributes = self.all_attributes.saturating_add(1);
        if self.attributes > self.limits.attributes {
            self.reject(Excess::Attributes);
        }
    }

    fn begin_value(&mut self, part: Option<HeadPart>, quote: u8) {
        self.part = part;
        self.value_bytes = 0;
        self.at = Position::Value(quote);
    }

    /// Ends a root tag, or the stream header, before `bytes[end]`.
    fn end_root_tag(
        &mut self,
        empty: bool,
        bytes: &[u8],
        kept: &mut usize,
        end: usize,
    ) -> Result<Option<Scanned>, BadStream> {
        self.at = Position::Text;
        if !self.open {
            self.count_prolog(end - *kept)?;
            if empty || !self.raw.is_stream() {
                return Err(BadStream::NotAStream);
            }
            self.open = true;
            return Ok(Some(Scanned::Open));
        }
        self.has_root = true;
        self.keep(&bytes[*kept..end]);
        *kept = end;
        self.splice(empty);
        self.depth -= usize::from(empty);
        Ok(empty.then_some(Scanned::Element))
    }

    /// Writes the inherited namespaces into the root tag, so that the frame can be parsed alone.
    fn splice(&mut self, empty: bool) {
        if self.excess.is_some() {
            return;
        }
        let tail: &[u8] = if empty { b"/>" } else { b">" };
        // An ill-formed tag such as `<a /b>` may not end like this; the parser refuses it with or without the
        // namespaces.
        self.stored.truncate(self.stored.len() - tail.len());
        if !self.raw.has_xmlns() {
            self.stored.extend_from_slice(SPLICE);
        }
        if self.raw.needs_stream_prefix() {
            self.stored.extend_from_slice(SPLICE_STREAM);
        }
        self.stored.extend_from_slice(tail);
    }

    /// Stores bytes of the current stanza, unless it is rejected.
    fn keep(&mut self, bytes: &[u8]) {
        self.seen = self.seen.saturating_add(bytes.len());
        self.measure();
        if self.excess.is_none() {
            self.stored.extend_from_slice(bytes);
        }
    }

    fn count_prolog(&mut self, bytes: usize) -> Result<(), BadStream> {
        self.seen = self.seen.saturating_add(bytes);
        if self.seen > PROLOG_BYTES {
            Err(BadStream::LongHeader)
        } else {
            Ok(())
        }
    }

    /// Rejects the stanza if it is larger than its sender may send. Before the root tag ends the sender is unknown.
    fn measure(&mut self) {
        if self.excess.is_some() {
            return;
        }
        if let Some(why) = self.limits.excess(self.seen, self.elements) {
            self.reject(why);
            return;
        }
        let most = self.limits.for_a_stranger();
        if let Some(why) = most.excess(self.seen, self.elements)
            && self.sender() == Some(Sender::Stranger)
        {
            self.reject(why);
        }
    }

    /// The sender of this stanza; `None` before the root tag has ended, or without a [`Trust`].
    fn sender(&mut self) -> Option<Sender> {
        if self.sender.is_none() && self.has_root {
            let trust = self.trust.as_ref()?;
            self.sender = Some(trust.sender_of(&self.raw.head()));
        }
        self.sender
    }

    fn reject(&mut self, why: Excess) {
        self.excess.get_or_insert(why);
        self.stored.clear();
    }
}

/// The front of `bytes` up to the end of a name. Ill-formed input may end it early or late, which the parser reports.
fn name_at(bytes: &[u8]) -> &[u8] {
    let ends = |byte: &u8| matches!(byte, b'=' | b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n');
    &bytes[..bytes.iter().position(ends).unwrap_or(bytes.len())]
}
