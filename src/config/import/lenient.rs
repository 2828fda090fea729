//! JSON as people and pm2 write it: with comments, trailing commas, single quotes, keys without
//! quotes.

use crate::config::errors::Fault;
use crate::config::read::{Format, read};
use crate::config::tree::Node;

/// The tree of a text: strictly where it is strict; else as YAML, of which the rest is a part once
/// comments are blanked.
pub(super) fn json(text: &str) -> Result<(Node, Vec<Fault>), Vec<Fault>> {
    let (tree, strict) = read(Format::Json, text);
    if let Some(tree) = tree {
        return Ok((tree, strict));
    }
    match read(Format::Yaml, &blanked(text)) {
        (Some(tree), faults) => Ok((tree, faults)),
        (None, _) => Err(strict),
    }
}

/// The text with spaces in place of comments and tabs: all else keeps its place.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        match (quote, c) {
            (Some(_), '\\') => {
                out.push(c);
                out.extend(rest.next().map(|(_, c)| c));
            }
            (Some(open), c) => {
                if c == open {
                    quote = None;
                }
                out.push(c);
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                out.push(c);
            }
            (None, '/') if text[at..].starts_with("//") => {
                out.push(' ');
                while let Some((_, c)) = rest.next_if(|(_, c)| *c != '\n') {
                    blank(&mut out, c);
                }
            }
            (None, '/') if text[at..].starts_with("/*") => {
                let end = text[at + 2..].find("*/").map_or(text.len(), |end| at + 2 + end + 2);
                out.push(' ');
                while let Some((_, c)) = rest.next_if(|(at, _)| *at < end) {
                    blank(&mut out, c);
                }
            }
            (None, '\t' | '\r') => out.push(' '),
            // {a:1}: YAML wants a space there.
            (None, ':') => {
                out.push(':');
                if rest.peek().is_some_and(|(_, c)| !c.is_whitespace()) {
                    out.push(' ');
                }
            }
            (None, c) => out.push(c),
        }
    }
    out
}

fn blank(out: &mut String, c: char) {
    if c == '\n' {
        out.push('\n');
    } else {
        out.extend(std::iter::repeat_n(' ', c.len_utf8()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_commas_are_no_matter() {
        let text = "// é\n{\r\n\tx:'y', apps: [ /* one\n */ {'name': \"a//b\", \"n\": 1,},\n],\n}\n";
        let (tree, faults) = json(text).unwrap();
        assert!(faults.is_empty());
        let value = tree.data.to_json().unwrap();
        assert_eq!(value, serde_json::json!({"x": "y", "apps": [{"name": "a//b", "n": 1}]}));
        // What is wrong is said as of JSON, with its place.
        let faults = json("{\"a\": }}").unwrap_err();
        assert_eq!((faults[0].at, faults.len()), (6, 1));
        assert!(json("[1, 2").is_err());
    }
}
