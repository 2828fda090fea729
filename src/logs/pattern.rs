//! Which lines are meant, by what stands in them.

use regex_lite::{Regex, RegexBuilder};

use super::form::plain;

/// A regular expression that somebody looks for.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: String,
    any_case: bool,
    regex: Regex,
}

impl Pattern {
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn new(text: &str, any_case: bool) -> Result<Self, String> {
        let built = RegexBuilder::new(text).case_insensitive(any_case).build();
        let why = |error| format!("'{}' is no regular expression: {error}", crate::text::clip(text));
        Ok(Self { text: text.to_owned(), any_case, regex: built.map_err(why)? })
    }

    /// Whether a line has it; colours in the line count for nothing.
    pub(crate) fn is_in(&self, line: &[u8]) -> bool {
        self.regex.is_match(&String::from_utf8_lossy(&plain(line)))
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, self.any_case) == (&other.text, other.any_case)
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_any_colour() {
        let any = |text: &str, any_case, line: &str| Pattern::new(text, any_case).unwrap().is_in(line.as_bytes());
        assert!(any("err(or)?:", false, "an err: x") && !any("err", false, "ERR") && any("err", true, "ERR"));
        assert!(any("error", false, "\x1b[31mer\x1b[0mror") && !any("31", false, "\x1b[31mred\x1b[0m"));
        assert!(Pattern::new("(", false).unwrap_err().starts_with("'(' is no regular expression: "));
    }
}
