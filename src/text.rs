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
    fn quoted_words_paste() {
        assert_eq!(shell_quote("a b'c"), "'a b'\\''c'");
        assert_eq!(shell_quote("unit:x.service"), "unit:x.service");
        assert_eq!(shell_quote(""), "''");
    }
}
