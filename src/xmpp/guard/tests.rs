#![allow(clippy::unwrap_used)]
use super::machine::{SPLICE, SPLICE_STREAM};
use super::*;
use proptest::prelude::*;

const HEADER: &str = "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:component:accept' \
    xmlns:stream='http://etherx.jabber.org/streams' id=\"a&amp;1\" from='bot.example' >";

/// A frame that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Open(Opening),
    Whole(String),
    Rejected(Head, Excess),
    Close,
}

fn feed(guard: &mut Guard, mut bytes: &[u8], into: &mut Vec<Seen>) -> Result<(), BadStream> {
    while let Some(frame) = guard.next(&mut bytes)? {
        into.push(match frame {
            Frame::Open(opening) => Seen::Open(opening),
            Frame::Whole(bytes) => Seen::Whole(String::from_utf8(bytes.to_vec()).unwrap()),
            Frame::Rejected { head, why } => Seen::Rejected(head, why),
            Frame::Close => Seen::Close,
        });
    }
    assert!(
        bytes.is_empty(),
        "next() said it needs more but left bytes behind"
    );
    Ok(())
}

fn frames_of(limits: Limits, pieces: &[&[u8]]) -> Result<Vec<Seen>, BadStream> {
    let mut guard = Guard::new(limits);
    let mut seen = Vec::new();
    for piece in pieces {
        feed(&mut guard, piece, &mut seen)?;
    }
    Ok(seen)
}

/// The frames after the stream header, fed as one piece and byte by byte.
fn frames(text: &str) -> Vec<Seen> {
    let whole = format!("{HEADER}{text}");
    let seen = frames_of(Limits::default(), &[whole.as_bytes()]).unwrap();
    let bytes: Vec<&[u8]> = whole.as_bytes().chunks(1).collect();
    assert_eq!(
        frames_of(Limits::default(), &bytes).unwrap(),
        seen,
        "cut byte by byte"
    );
    seen[1..].to_vec()
}

fn fatal(text: &str) -> BadStream {
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    let error = frames_of(Limits::default(), &bytes).unwrap_err();
    assert_eq!(frames_of(Limits::default(), &[text.as_bytes()]), Err(error));
    error
}

fn whole(text: &str) -> Seen {
    Seen::Whole(text.to_owned())
}

#[test]
fn the_stream_header_gives_id_name_and_namespace() {
    let seen = frames_of(Limits::default(), &[HEADER.as_bytes()]).unwrap();
    let opening = Opening {
        id: Some("a&1".into()),
        from: Some("bot.example".into()),
        xmlns: Some("jabber:component:accept".into()),
    };
    assert_eq!(seen, [Seen::Open(opening)]);
}

#[test]
fn several_stanzas_in_one_read_come_out_one_by_one_and_stand_by_themselves() {
    let seen = frames(
        "<iq id='1'><ping/></iq> \n<presence/><message to=\"a>b\"><body>x</body></message></stream:stream>",
    );
    assert_eq!(
        seen,
        [
            whole("<iq id='1' xmlns='jabber:component:accept'><ping/></iq>"),
            whole("<presence xmlns='jabber:component:accept'/>"),
            whole("<message to=\"a>b\" xmlns='jabber:component:accept'><body>x</body></message>"),
            Seen::Close,
        ]
    );
}

#[test]
fn a_stream_error_gets_its_prefix_declared() {
    assert_eq!(
        frames("<stream:error><conflict xmlns='u'/></stream:error>"),
        [whole(
            "<stream:error xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'><conflict xmlns='u'/></stream:error>"
        )]
    );
}

#[test]
fn a_namespace_of_its_own_is_left_alone() {
    assert_eq!(frames("<a xmlns='u'/>"), [whole("<a xmlns='u'/>")]);
}

#[test]
fn tags_inside_cdata_and_brackets_in_text_are_text() {
    let seen = frames("<m><![CDATA[</m><x>]] ]>]]]></m><n>]]&gt;</n>");
    assert_eq!(
        seen,
        [
            whole("<m xmlns='jabber:component:accept'><![CDATA[</m><x>]] ]>]]]></m>"),
            whole("<n xmlns='jabber:component:accept'>]]&gt;</n>"),
        ]
    );
}

#[test]
fn stray_text_between_stanzas_is_ignored() {
    assert_eq!(
        frames("42\0xyz ]]> <a/>&&;<b/>"),
        [
            whole("<a xmlns='jabber:component:accept'/>"),
            whole("<b xmlns='jabber:component:accept'/>")
        ]
    );
}

#[test]
fn restricted_xml_ends_the_stream() {
    for bad in [
        "<!-- x -->",
        "<?php x?>",
        "<!DOCTYPE x>",
        "<!ENTITY a 'b'>",
        "<m><!-- x --></m>",
        "<m><?a?></m>",
        "<m><![INCLUDE[",
    ] {
        assert_eq!(
            fatal(&format!("{HEADER}{bad}")),
            BadStream::Restricted,
            "{bad}"
        );
    }
    assert_eq!(fatal("<!DOCTYPE x>"), BadStream::Restricted);
    assert_eq!(fatal("<?xml-stylesheet href='x'?>"), BadStream::Restricted);
    assert_eq!(
        fatal("<?xml version='1.0'?><?xml version='1.0'?>"),
        BadStream::Restricted
    );
}

#[test]
fn another_protocol_is_told_apart() {
    assert_eq!(fatal("HTTP/1.1 400 Bad Request"), BadStream::NotAStream);
    assert_eq!(fatal("<html><body>"), BadStream::NotAStream);
    assert_eq!(fatal("</stream:stream>"), BadStream::NotAStream);
    assert_eq!(fatal("<stream:stream/>"), BadStream::NotAStream);
    assert_eq!(fatal(&" ".repeat(20_000)), BadStream::LongHeader);
    assert_eq!(
        fatal(&format!("<stream:stream id='{}", "x".repeat(20_000))),
        BadStream::LongHeader
    );
    assert_eq!(
        fatal(&format!("<?xml {}", "x".repeat(20_000))),
        BadStream::LongHeader
    );
}

fn check_rejected(stanza: &str, why: Excess) {
    let head = Head {
        name: "iq".into(),
        from: Some("eve@example.org/'x".into()),
        to: Some("bot.example".into()),
        id: Some("i1".into()),
        type_: Some("set".into()),
    };
    // The stream goes on: the next stanza arrives.
    let seen = frames(&format!("{stanza}<a/>"));
    assert_eq!(
        seen,
        [
            Seen::Rejected(head, why),
            whole("<a xmlns='jabber:component:accept'/>")
        ]
    );
}

#[test]
fn what_goes_over_a_limit_is_skipped_and_its_header_is_kept() {
    let head = "<iq from='eve@example.org/&apos;x' id='i1' to='bot.example' type='set'";
    let nested = format!("{}{}", "<a>".repeat(4_000), "</a>".repeat(4_000));
    check_rejected(&format!("{head}>{nested}</iq>"), Excess::Depth);
    check_rejected(
        &format!("{head}><x y='{}'/></iq>", "z".repeat(20_000)),
        Excess::AttributeBytes,
    );
    check_rejected(
        &format!("{head} long='{}'><x/></iq>", "z".repeat(20_000)),
        Excess::AttributeBytes,
    );
    check_rejected(
        &format!("{head}><x>{}</x></iq>", "z".repeat(300_000)),
        Excess::Bytes,
    );
    check_rejected(
        &format!("{head}><x{}/></iq>", " a='b'".repeat(65)),
        Excess::Attributes,
    );
    check_rejected(
        &format!("{head}>{}</iq>", "<x/>".repeat(8_192)),
        Excess::Elements,
    );
}

#[test]
fn a_stanza_at_every_limit_passes() {
    let deep = format!("{}{}", "<a>".repeat(DEPTH - 1), "</a>".repeat(DEPTH - 1));
    let long = format!("<x y='{}'/>", "z".repeat(ATTRIBUTE_BYTES));
    let many = format!("<x{}/>", " a='b'".repeat(ATTRIBUTES));
    for inner in [
        deep,
        long,
        many,
        "<x/>".repeat(ELEMENTS - 1),
        "z".repeat(STANZA_BYTES - "<m></m>".len()),
    ] {
        let seen = frames(&format!("<m>{inner}</m>"));
        assert_eq!(
            seen,
            [whole(&format!(
                "<m xmlns='jabber:component:accept'>{inner}</m>"
            ))]
        );
    }
}

#[test]
fn skipping_holds_no_bytes_of_what_it_skips() {
    let mut guard = Guard::new(Limits::default());
    let mut seen = Vec::new();
    feed(&mut guard, HEADER.as_bytes(), &mut seen).unwrap();
    feed(&mut guard, b"<m>", &mut seen).unwrap();
    for _ in 0..64 {
        feed(&mut guard, &[b'x'; 65_536], &mut seen).unwrap();
        assert!(guard.stored.len() <= STANZA_BYTES);
        assert!(guard.stored.capacity() <= 2 * STANZA_BYTES);
    }
    feed(&mut guard, b"</m>", &mut seen).unwrap();
    assert!(matches!(
        seen.last(),
        Some(Seen::Rejected(_, Excess::Bytes))
    ));
}

#[test]
fn an_id_too_long_to_keep_is_dropped_rather_than_cut() {
    let seen = frames(&format!(
        "<iq id='{}' type='get'><x y='{}'/></iq>",
        "i".repeat(5_000),
        "z".repeat(20_000)
    ));
    let Seen::Rejected(head, Excess::AttributeBytes) = &seen[0] else {
        panic!("{seen:?}")
    };
    assert_eq!(
        (head.id.as_deref(), head.type_.as_deref()),
        (None, Some("get"))
    );
}

#[test]
fn ill_formed_tags_do_not_swallow_what_follows() {
    for bad in [
        "<a b/>",
        "<a b=/>",
        "<a b=c/>",
        "<a / b='c'/>",
        "<a b='c'd='e'/>",
        "<></>",
        "<a></b>",
        "<a b='<'/>",
        "<m><a b/></m>",
        "<m><a b=/></m>",
        "<m><a b='/'></a></m>",
        "<m><a / b='c'></a></m>",
        "<m><a b='>'/></m>",
        "<m><></></m>",
    ] {
        let seen = frames(&format!("{bad}<ok/>"));
        assert_eq!(
            seen.last(),
            Some(&whole("<ok xmlns='jabber:component:accept'/>")),
            "{bad}: {seen:?}"
        );
    }
}

#[test]
fn the_head_of_a_whole_frame_can_be_read_again() {
    let seen = frames("<iq id='7' type='get' from='a@b' to='c'><x></y></iq>");
    let Seen::Whole(frame) = &seen[0] else {
        panic!("{seen:?}")
    };
    let head = head_of(frame.as_bytes());
    assert_eq!(
        (head.name.as_str(), head.id.as_deref(), head.from.as_deref()),
        ("iq", Some("7"), Some("a@b"))
    );
    assert_eq!(head_of(b"nothing"), Head::default());
}

/// Random pieces that make it likely for a stream to reach the inner states.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "<",
        ">",
        "/",
        "</",
        "/>",
        "<iq",
        "<a>",
        "</a>",
        "<a/>",
        " id=",
        "'",
        "\"",
        "=",
        "x",
        " ",
        "<![CDATA[",
        "]]>",
        "]",
        "&amp;",
        "<stream:error>",
        "from='a@b'",
        "</stream:stream>",
        "<!",
        "<?",
        "é",
        "\0",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn where_the_bytes_are_cut_makes_no_difference(soup in soup(), cut in 1usize..9) {
        let limits = Limits { stanza_bytes: 60, depth: 3, attribute_bytes: 8, attributes: 3, elements: 5 };
        let bytes = [HEADER.as_bytes(), &soup].concat();
        let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
        // If several limits are exceeded, which one is reported may depend on the cut.
        let unnamed = |seen: Result<Vec<Seen>, BadStream>| {
            let plain = |frame| match frame {
                Seen::Rejected(head, _) => Seen::Rejected(head, Excess::Bytes),
                other => other,
            };
            seen.map(|seen| seen.into_iter().map(plain).collect::<Vec<_>>())
        };
        prop_assert_eq!(unnamed(frames_of(limits, &pieces)), unnamed(frames_of(limits, &[&bytes])));
    }

    #[test]
    fn no_frame_is_larger_than_the_limit_and_its_splice(soup in soup()) {
        let limits = Limits { stanza_bytes: 30, ..Limits::default() };
        let bytes = [HEADER.as_bytes(), &soup].concat();
        for frame in frames_of(limits, &[&bytes]).unwrap_or_default() {
            if let Seen::Whole(frame) = frame {
                prop_assert!(frame.len() <= 30 + SPLICE.len() + SPLICE_STREAM.len());
            }
        }
    }
}
