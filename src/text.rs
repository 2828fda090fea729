//! Text that came from elsewhere, made fit for a terminal: no control character passes through.

/// Escapes control characters and everything that could reorder or hide text, so that the
/// result is one line of visible characters.
pub fn escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if !is_visible(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// The same for lines of output, in which tabs are at home.
pub fn escape_but_tabs(s: &str) -> String {
    s.split('\t').map(escape).collect::<Vec<_>>().join("\t")
}

/// The same for lines of output that are shown in colours: those that the program chose stay. What
/// else a terminal would obey is escaped, and so is a text that hides itself.
pub fn escape_but_colours(s: &str) -> String {
    let (mut out, mut coloured) = (String::with_capacity(s.len()), false);
    let mut pieces = s.split("\u{1b}[");
    out.push_str(&escape_but_tabs(pieces.next().unwrap_or_default()));
    for piece in pieces {
        match piece.split_once('m').filter(|(codes, _)| is_colour(codes)) {
            Some((codes, rest)) => {
                coloured = true;
                out.push_str(&format!("\u{1b}[{codes}m"));
                out.push_str(&escape_but_tabs(rest));
            }
            None => out.push_str(&escape_but_tabs(&format!("\u{1b}[{piece}"))),
        }
    }
    if coloured {
        out.push_str("\u{1b}[0m");
    }
    out
}

/// Whether these are codes of Select Graphic Rendition (ECMA-48, 8.3.117) without "concealed".
fn is_colour(codes: &str) -> bool {
    let mut codes = codes.split([';', ':']);
    while let Some(code) = codes.next() {
        let known = code.len() <= 3 && code.bytes().all(|b| b.is_ascii_digit());
        match code.trim_start_matches('0') {
            "8" => return false,
            // A colour follows: of 256, or of red, green and blue.
            "38" | "48" | "58" => match codes.next() {
                Some("5") => drop(codes.next()),
                Some("2") => drop(codes.by_ref().take(3).count()),
                _ => return false,
            },
            _ if known => {}
            _ => return false,
        }
    }
    true
}

/// Escapes and shortens for a message: at most 60 characters of what was given.
pub fn clip(s: &str) -> String {
    clip_to(s, 60)
}

/// Escapes, and shortens to `max` characters with an ellipsis.
pub fn clip_to(s: &str, max: usize) -> String {
    let head: String = s.chars().take(max.saturating_add(1)).collect();
    let escaped = escape(&head);
    if escaped.chars().count() <= max {
        return escaped;
    }
    let mut short: String = escaped.chars().take(max.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Quotes a word for a shell where that is needed; what is printed can be pasted.
pub fn shell_quote(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Whether a terminal shows the character, and does nothing else.
pub fn is_visible(c: char) -> bool {
    !c.is_control() && !is_invisible(c)
}

/// Directional marks, zero-width characters and other format characters that a terminal obeys
/// without showing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e007f}' | '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_the_cursor_passes() {
        assert_eq!(escape("a\x1b[2Jb\u{202e}c\u{9b}d\n"), "a\\u{1b}[2Jb\\u{202e}c\\u{9b}d\\n");
        assert_eq!(clip(&"x".repeat(1000)).chars().count(), 60);
        assert_eq!(clip("plain"), "plain");
    }

    #[test]
    fn colours_pass_and_nothing_else() {
        let same = ["\x1b[31mred\x1b[0m", "\x1b[m", "\x1b[1;38;5;8mgrey\x1b[48;2;1;8;3mon", "a\tb"];
        for text in same {
            let reset = if text.contains('\x1b') { "\x1b[0m" } else { "" };
            assert_eq!(escape_but_colours(text), format!("{text}{reset}"));
        }
        for text in ["\x1b[8mhidden", "\x1b[2J", "\x1b]0;title\x07", "\x1b[1;08m", "\x1b[31", "\x1b[99999m", "\x1b[38m"]
        {
            assert!(!escape_but_colours(text).contains('\x1b'), "{text:?}");
        }
    }

    #[test]
    fn quoted_words_paste() {
        assert_eq!(shell_quote("a b'c"), "'a b'\\''c'");
        assert_eq!(shell_quote("unit:x.service"), "unit:x.service");
        assert_eq!(shell_quote(""), "''");
    }
}
