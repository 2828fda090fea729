//! The form in which lines are kept and given: long ones in parts, and without colours where that is
//! wanted. Pure, and the same however the bytes of a line come in pieces: so it can be done again.

use std::borrow::Cow;
use std::ops::Range;

use crate::model::service::{Ansi, LogSpec};

/// What a part of a line begins with, but for the first.
pub(super) const MARK: &[u8] = "…".as_bytes();
/// No part is shorter, whatever the settings say: there must be room for the mark and a character.
pub(super) const SHORTEST: usize = 16;
/// What is no escape sequence by then is none.
const LONGEST: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Form {
    /// Of a line or a part of one, in bytes.
    pub(super) max_line: usize,
    /// Whether escape sequences are left out.
    pub(super) strip: bool,
}

impl Default for Form {
    fn default() -> Self {
        Self::of(&LogSpec::default())
    }
}

impl Form {
    pub(super) fn of(settings: &LogSpec) -> Self {
        let max_line = usize::try_from(settings.max_line.0).unwrap_or(usize::MAX).max(SHORTEST);
        Self { max_line, strip: settings.ansi == Ansi::Strip }
    }

    /// Whether somebody asked for it: else bytes are kept as they come.
    pub(super) fn is_asked_for(&self) -> bool {
        *self != Self::default()
    }

    /// Puts bytes of a stream into this form; how many of them were used. What may be the beginning of
    /// an escape sequence is left until more is there, unless it has `ended`. Stops after a line with
    /// which there is more than `room`. `column`: how long the present line is, or its present part.
    pub(super) fn apply(&self, bytes: &[u8], ended: bool, room: usize, column: &mut usize, to: &mut Vec<u8>) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let line_end = rest.iter().position(|byte| *byte == b'\n');
            let text = &rest[..line_end.unwrap_or(rest.len())];
            let used = self.line(text, ended || line_end.is_some(), column, to);
            rest = &rest[used..];
            if used < text.len() || line_end.is_none() {
                break;
            }
            rest = &rest[1..];
            to.push(b'\n');
            *column = 0;
            if to.len() >= room {
                break;
            }
        }
        bytes.len() - rest.len()
    }

    fn line(&self, text: &[u8], ended: bool, column: &mut usize, to: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let escape = if self.strip { rest.iter().position(|byte| *byte == ESCAPE) } else { None };
            let words = &rest[..escape.unwrap_or(rest.len())];
            at += words.len();
            for (part, more) in self.cut(words, *column) {
                *column += part.len();
                to.extend_from_slice(&words[part]);
                if more {
                    to.push(b'\n');
                    to.extend_from_slice(MARK);
                    *column = MARK.len();
                }
            }
            match escape.map(|_| sequence(&text[at..])) {
                None => {}
                Some(Some(length)) => at += length,
                Some(None) if ended => at = text.len(),
                Some(None) => return at,
            }
        }
        at
    }

    /// Where the last part of a line begins that is not finished; those before it are given.
    pub(super) fn last_part(&self, text: &[u8]) -> usize {
        self.parts(text).last().map_or(0, |part| part.end)
    }

    /// The parts of a line that are whole: there is more behind them.
    pub(super) fn parts(&self, text: &[u8]) -> impl Iterator<Item = Range<usize>> {
        self.cut(text, 0).filter_map(|(part, more)| more.then_some(part))
    }

    /// The parts of a text, and whether there is more behind each. `column`: how long the part is that
    /// it goes on with.
    fn cut(&self, text: &[u8], mut column: usize) -> impl Iterator<Item = (Range<usize>, bool)> {
        let (max_line, mut at, mut more) = (self.max_line, 0, true);
        std::iter::from_fn(move || {
            let rest = text.get(at..).filter(|_| more)?;
            let begin = at;
            at += fits(rest, max_line.saturating_sub(column));
            (column, more) = (MARK.len(), at < text.len());
            Some((begin..at, more))
        })
    }
}

/// How many of these bytes fit, without tearing a character of UTF-8.
fn fits(text: &[u8], room: usize) -> usize {
    let length = |byte: u8| match byte {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let end = text.len().min(room);
    (end.saturating_sub(3)..end).find(|at| at + length(text[*at]) > room).unwrap_or(end)
}

const ESCAPE: u8 = 0x1b;

/// A line without colours and the like.
pub(super) fn plain(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.contains(&ESCAPE) {
        return line.into();
    }
    let (mut plain, mut rest) = (Vec::with_capacity(line.len()), line);
    while let Some(at) = rest.iter().position(|byte| *byte == ESCAPE) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[sequence(rest).unwrap_or(rest.len())..];
    }
    plain.extend_from_slice(rest);
    plain.into()
}

/// The length of the escape sequence (ECMA-48) that this text begins with; `None`: it may go on.
fn sequence(text: &[u8]) -> Option<usize> {
    let long = text.len() >= LONGEST;
    let text = &text[..text.len().min(LONGEST)];
    let end_of = |is: fn(u8) -> bool, last: fn(u8) -> bool| {
        let end = 2 + text.get(2..)?.iter().position(|byte| !is(*byte))?;
        // Anything else ends it, and is no part of it.
        Some(end + usize::from(last(text[end])))
    };
    let found = match text.get(1)? {
        b'[' => end_of(|byte| matches!(byte, 0x20..=0x3f), |byte| matches!(byte, 0x40..=0x7e)),
        // Titles and links: up to BEL, or to ESC and a backslash.
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let end = end_of(|byte| !matches!(byte, 0x07 | ESCAPE), |byte| byte == 0x07);
            match end.filter(|end| text.get(*end) == Some(&ESCAPE) && text[*end - 1] != 0x07) {
                Some(end) => text.get(end + 1).map(|byte| if *byte == b'\\' { end + 2 } else { end }),
                None => end,
            }
        }
        0x20..=0x2f => end_of(|byte| matches!(byte, 0x20..=0x2f), |byte| matches!(byte, 0x30..=0x7e)),
        0x30..=0x7e => Some(2),
        _ => Some(1),
    };
    found.or(long.then_some(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::Size;
    use proptest::prelude::*;

    fn form(max_line: u64, ansi: Ansi) -> Form {
        Form::of(&LogSpec { max_line: Size(max_line), ansi, ..LogSpec::default() })
    }

    /// In pieces that end at these places.
    fn through(form: &Form, bytes: &[u8], cuts: &[usize], room: usize) -> Vec<u8> {
        let (mut out, mut held, mut column, mut at) = (Vec::new(), Vec::new(), 0, 0);
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let cut = cut.clamp(at, bytes.len());
            held.extend_from_slice(&bytes[at..cut]);
            at = cut;
            loop {
                let used = form.apply(&held, at == bytes.len(), room, &mut column, &mut out);
                held.drain(..used);
                if used == 0 || held.is_empty() {
                    break;
                }
            }
        }
        assert!(held.is_empty(), "{held:?}");
        out
    }

    #[test]
    fn long_lines_are_in_parts_and_characters_whole() {
        let of = |text: &str| String::from_utf8(through(&form(16, Ansi::Keep), text.as_bytes(), &[], 1)).unwrap();
        assert_eq!(of("0123456789abcdef\nshort\n\n"), "0123456789abcdef\nshort\n\n");
        assert_eq!(of("0123456789abcdefg\n"), "0123456789abcdef\n…g\n");
        assert_eq!(of("0123456789abcdé0123456789ab\n"), "0123456789abcdé\n…0123456789ab\n");
        assert_eq!(of("0123456789abcdeé 123456789abé"), "0123456789abcde\n…é 123456789a\n…bé");
        let all = form(16, Ansi::Keep);
        let line = "0123456789abcdeé 123456789abé".as_bytes();
        assert_eq!(all.parts(line).collect::<Vec<_>>(), [0..15, 15..28]);
        assert_eq!((all.last_part(line), all.last_part(b"0123456789abcdef"), all.last_part(b"")), (28, 0, 0));
        assert!(!form(1 << 20, Ansi::Keep).is_asked_for() && form(1 << 20, Ansi::Strip).is_asked_for());
    }

    #[test]
    fn sequences_are_left_out_and_nothing_else() {
        for (text, meant) in [
            ("\x1b[1;31mred\x1b[0m \ttab\r", "red \ttab\r"),
            ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
            ("\x1b(Ba\x1b7b\x1b[?25lc", "abc"),
            ("a\x1b", "a"),
            ("a\x1b[31", "a"),
            ("a\x1b]0;never ends", "a"),
            ("a\x1b[31\x1b[1mb", "ab"),
            ("a\x1b[3\u{e9}b", "a\u{e9}b"),
        ] {
            assert_eq!(String::from_utf8_lossy(&plain(text.as_bytes())), meant, "{text:?}");
            assert_eq!(through(&form(1000, Ansi::Strip), text.as_bytes(), &[], 1), meant.as_bytes(), "{text:?}");
        }
        let endless = format!("a\x1b]{}b", "x".repeat(LONGEST));
        assert_eq!(plain(endless.as_bytes()).len(), LONGEST + 2);
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            words in proptest::collection::vec(
                proptest::sample::select(vec![
                    "a", "bcd", "é", "€", "😀", "\n", "\x1b[", "31m", "\x1b]", "\x07", "\x1b\\", "\x1b", "0;", "0123456789",
                ]),
                0..60,
            ),
            bad in proptest::collection::vec((0usize..200, 0x7f_u8..), 0..4),
            mut cuts in proptest::collection::vec(0usize..200, 0..8),
            room in 1usize..40,
            max_line in 0u64..40,
            strip: bool,
        ) {
            let mut bytes = words.concat().into_bytes();
            for (at, byte) in bad {
                bytes.insert(at.min(bytes.len()), byte);
            }
            cuts.sort_unstable();
            let form = form(max_line, if strip { Ansi::Strip } else { Ansi::Keep });
            let whole = through(&form, &bytes, &[], usize::MAX);
            prop_assert_eq!(&through(&form, &bytes, &cuts, room), &whole);
            for line in whole.split(|byte| *byte == b'\n') {
                prop_assert!(line.len() <= form.max_line);
            }
            // What was kept as it came is read in the same parts.
            let keep = Form { strip: false, ..form };
            let read = bytes.split(|byte| *byte == b'\n').map(|line| {
                let mut parts: Vec<_> = keep.parts(line).collect();
                parts.push(keep.last_part(line)..line.len());
                parts.into_iter().map(|part| &line[part]).collect::<Vec<_>>().join(&b"\n\xe2\x80\xa6"[..])
            });
            prop_assert_eq!(read.collect::<Vec<_>>().join(&b'\n'), through(&keep, &bytes, &[], usize::MAX));
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            let marks = whole.windows(4).filter(|some| some == b"\n\xe2\x80\xa6").count();
            prop_assert_eq!(lines(&whole), lines(&bytes) + marks);
        }
    }
}
