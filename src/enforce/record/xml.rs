//! The record as an element: writes it, and reads whatever a user put in its place.

use minidom::Element;

use super::{
    BanRecord, MOST_FOREIGN, MOST_FOREIGN_BYTES, MOST_REASON, MOST_TEXT, NS_BANNED, NS_PRIVATE,
    NS_RECORD, Ours,
};
use crate::xmpp::payload::{leaf, one_line, text_of, with};

impl BanRecord {
    /// Reads a record. Never fails: anything too long or not understood counts as absent.
    pub fn parse(banned: &Element) -> Self {
        let text = |name| capped(text_of(banned, name, NS_BANNED), MOST_REASON);
        BanRecord {
            reason: text("reason"),
            bandate: text("bandate"),
            lastdate: text("lastdate"),
            lastreason: text("lastreason"),
            hash: text("hash"),
            ours: banned.get_child("ban", NS_RECORD).and_then(Ours::parse),
            foreign: foreign(banned),
            is_unreadable: false,
        }
    }

    /// Reads the answer to [`BanRecord::query`]; an answer without a record is an empty record.
    pub fn parse_answer(query: Option<&Element>) -> Self {
        query
            .and_then(|query| query.get_child("banned", NS_BANNED))
            .map(BanRecord::parse)
            .unwrap_or_default()
    }

    /// The element to store.
    pub fn to_element(&self) -> Element {
        let mut banned = Element::bare("banned", NS_BANNED);
        if self.is_empty() {
            return banned;
        }
        for (name, text) in [
            ("reason", &self.reason),
            ("lastdate", &self.lastdate),
            ("lastreason", &self.lastreason),
            ("bandate", &self.bandate),
            ("hash", &self.hash),
        ] {
            banned.append_child(leaf(name, NS_BANNED, text));
        }
        if let Some(ours) = &self.ours {
            let id = ours.id.to_string();
            let mut attributes = vec![("id", id.as_str()), ("by", &ours.by), ("seal", &ours.seal)];
            attributes.extend(ours.until.as_deref().map(|until| ("until", until)));
            banned.append_child(with("ban", NS_RECORD, &attributes));
        }
        for child in &self.foreign {
            banned.append_child(child.clone());
        }
        banned
    }

    /// The request that reads a record.
    pub fn query() -> Element {
        BanRecord::default().store()
    }

    /// The request that writes this record; an empty one lifts the ban.
    pub fn store(&self) -> Element {
        let mut query = Element::bare("query", NS_PRIVATE);
        query.append_child(self.to_element());
        query
    }
}

impl Ours {
    fn parse(ban: &Element) -> Option<Self> {
        let attribute = |name| {
            ban.attr(name)
                .map(|text| capped(text.to_owned(), MOST_TEXT))
        };
        Some(Ours {
            id: ban.attr("id")?.parse().ok()?,
            until: attribute("until"),
            by: attribute("by").unwrap_or_default(),
            seal: attribute("seal").unwrap_or_default(),
        })
    }
}

/// Texts are kept exactly, because the seal covers them; one that is longer than we write is not ours anyway.
fn capped(text: String, most: usize) -> String {
    if text.len() <= most {
        text
    } else {
        one_line(&text, most)
    }
}

/// The children that are neither ejabberd's fields nor ours: a password always, others if they are small.
fn foreign(banned: &Element) -> Vec<Element> {
    const FIELDS: [&str; 5] = ["reason", "lastdate", "lastreason", "bandate", "hash"];
    let others = banned
        .children()
        .filter(|child| !child.has_ns(NS_RECORD))
        .filter(|child| !child.has_ns(NS_BANNED) || !FIELDS.contains(&child.name()));
    let (passwords, rest): (Vec<_>, Vec<_>) = others
        .filter(|child| weight(child) <= MOST_FOREIGN_BYTES)
        .partition(|child| child.is("password", NS_BANNED));
    passwords
        .into_iter()
        .chain(rest)
        .take(MOST_FOREIGN)
        .cloned()
        .collect()
}

/// Maximum size of an element in bytes, as written. The guard limits the depth of a stanza.
fn weight(element: &Element) -> usize {
    /// Brackets, quotes and a namespace declaration; also limits the number of elements in a record.
    const TAGS: usize = 32;
    let attributes: usize = element
        .attrs()
        .iter()
        .map(|((ns, name), value)| TAGS + ns.len() + name.len() + escaped(value))
        .sum();
    let texts: usize = element.texts().map(escaped).sum();
    let children: usize = element.children().map(weight).sum();
    TAGS + 2 * element.name().len() + escaped(&element.ns()) + attributes + texts + children
}

/// Size of a text in bytes with its longest escapes: `&quot;`, `&#x0a;`.
fn escaped(text: &str) -> usize {
    let is_escaped = |byte: &u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'' | 0..=0x1f);
    text.len()
        + 5 * text
            .as_bytes()
            .iter()
            .filter(|byte| is_escaped(byte))
            .count()
}
