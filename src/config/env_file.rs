//! A file of `NAME=VALUE` lines, as `env_file` names it: comments, quotes, `export`; no variables.

use crate::model::Malformed;

/// The variables of a text that provost wrote; of one that is damaged, none.
pub(crate) fn all(text: &str) -> Vec<(String, String)> {
    parse(text).unwrap_or_default()
}

/// The variables of such a text, in its order; a later one of the same name wins.
///
/// # Errors
/// The line that is none, by its number.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    let mut all = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut at = 0;
    while at < text.len() {
        let line = text[at..].lines().next().unwrap_or_default();
        // Never the text: it may be part of a secret, and everybody may be told of it.
        let wrong = |what: &str| {
            let number = text[..at].matches('\n').count() + 1;
            Malformed::new(format!("line {number}: {what}"))
        };
        let end_of_line = at + text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
        let trimmed = line.trim_start();
        if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
            at = end_of_line;
            continue;
        }
        let words = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let assignment = words.map_or(trimmed, str::trim_start);
        let Some((name, _)) = assignment.split_once('=') else {
            return Err(wrong("it is no NAME=VALUE"));
        };
        let name = name.trim_end();
        let head = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        if !name.bytes().next().is_some_and(head) || !name.bytes().all(|b| head(b) || b.is_ascii_digit()) {
            return Err(wrong("what stands before the '=' is no name of a variable"));
        }
        let begin = at + line.find('=').map_or(line.len(), |place| place + 1);
        let (value, length) = value(&text[begin..]).map_err(wrong)?;
        if value.contains('\0') {
            return Err(wrong("the value holds a NUL byte"));
        }
        all.push((name.to_owned(), value));
        at = begin + length;
        at += text[at..].find('\n').map_or(text.len() - at, |end| end + 1);
    }
    Ok(all)
}

/// The value at the beginning of this text, and how much of it that was. In quotes it may be of
/// several lines; in double ones `\n`, `\t`, `\"`, `\\` and `\$` stand for one character.
fn value(text: &str) -> Result<(String, usize), &'static str> {
    let start = text.len() - text.trim_start_matches([' ', '\t']).len();
    let rest = &text[start..];
    let Some(quote) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let line = rest.lines().next().unwrap_or_default();
        // A '#' begins a comment only behind a space: it may be part of a password.
        let end = line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '\t']));
        let value = &line[..end.map_or(line.len(), |(at, _)| at)];
        return Ok((value.trim_end().to_owned(), start + value.len()));
    };
    let mut out = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => {
                let after = rest[at + 1..].lines().next().unwrap_or_default().trim();
                let clean = after.is_empty() || after.starts_with('#');
                return if clean { Ok((out, start + at + 1)) } else { Err("something follows the closing quote") };
            }
            '\\' if quote == '"' => match characters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                Some((_, c @ ('"' | '\\' | '$' | '`'))) => out.push(c),
                Some((_, c)) => out.extend(['\\', c]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a quote has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_people_write_them() {
        let text = "# c\n\nA=1\n export B = two words # c\nC='x # y\n$z'\r\nD=\"a\\n\\\"b\\\" \\$x \\q\" # c\nE=\nF=a#b\nG=\"\"\nA=2";
        let read: Vec<(String, String)> = parse(text).unwrap();
        let expected = [
            ("A", "1"),
            ("B", "two words"),
            ("C", "x # y\n$z"),
            ("D", "a\n\"b\" $x \\q"),
            ("E", ""),
            ("F", "a#b"),
            ("G", ""),
            ("A", "2"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (text, part) in [
            ("A=1\nhush", "line 2: it is no NAME=VALUE"),
            ("hush-=hush", "line 1: what stands before the '='"),
            ("A='hush", "no end"),
            ("\nA=\"x\" y", "line 2: something"),
            ("=hush", "no name"),
            ("A=hush\0", "NUL"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hush"), "{error}");
        }
    }
}
