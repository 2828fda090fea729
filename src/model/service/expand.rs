//! Variables in the text of a config: `${NAME}`, `${NAME:-default}`; `$$` is one dollar.
//!
//! A dollar before anything else stands for itself: nothing here is run by a shell.

use crate::model::Malformed;
use crate::text::clip;

enum Piece<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: Option<&'a str> },
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Malformed> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        all.push(Piece::Text(before));
        if let Some(after) = from.strip_prefix("$$") {
            all.push(Piece::Text("$"));
            rest = after;
        } else if let Some(inner) = from.strip_prefix("${") {
            let Some((word, after)) = inner.split_once('}') else {
                return Err(Malformed(format!("'{}' lacks the closing brace of a variable", clip(text))));
            };
            let (name, default) = match word.split_once(":-") {
                Some((name, default)) => (name, Some(default)),
                None => (word, None),
            };
            let valid = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
            if name.is_empty() || !name.bytes().all(valid) {
                return Err(Malformed(format!("'${{{}}}' is no variable: write ${{NAME}}", clip(word))));
            }
            all.push(Piece::Variable { name, default });
            rest = after;
        } else {
            all.push(Piece::Text("$"));
            rest = &from[1..];
        }
    }
    all.push(Piece::Text(rest));
    Ok(all)
}

/// The names of the variables in a text, those with a default too.
pub fn variables(text: &str) -> Result<Vec<&str>, Malformed> {
    let names = pieces(text)?.into_iter().filter_map(|piece| match piece {
        Piece::Variable { name, .. } => Some(name),
        Piece::Text(_) => None,
    });
    Ok(names.collect())
}

/// The names of the variables in a text, each with whether it has a default.
pub fn uses(text: &str) -> Result<Vec<(&str, bool)>, Malformed> {
    let names = pieces(text)?.into_iter().filter_map(|piece| match piece {
        Piece::Variable { name, default } => Some((name, default.is_some())),
        Piece::Text(_) => None,
    });
    Ok(names.collect())
}

/// A text that [`expand`] gives back as it is: for what was not written in a config.
pub fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// The text with its variables replaced. An empty value counts as unset where there is a default.
///
/// # Errors
/// The first variable that `lookup` does not know and that has no default, as its name.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, Malformed> {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable { name, default } => {
                match (lookup(name).filter(|value| default.is_none() || !value.is_empty()), default) {
                    (Some(value), _) => out.push_str(&value),
                    (None, Some(default)) => out.push_str(default),
                    (None, None) => return Err(Malformed(format!("${{{name}}} is not set and has no default"))),
                }
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_and_nothing_else_is() {
        let lookup = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            "service.a-b.port" => Some("1".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("http://h:${PORT}/", "http://h:8080/"),
            ("${NO:-d}${EMPTY:-e}${EMPTY}", "de"),
            ("$$${PORT} $5 $", "$8080 $5 $"),
            ("${service.a-b.port}", "1"),
            ("${NO:-}", ""),
            ("é$é", "é$é"),
        ] {
            assert_eq!(expand(text, &lookup).unwrap(), expected);
        }
        assert_eq!(expand("${NO}", &lookup).unwrap_err().to_string(), "${NO} is not set and has no default");
        for wrong in ["${", "${}", "${a b}", "${PORT"] {
            assert!(expand(wrong, &lookup).is_err(), "{wrong}");
        }
        assert_eq!(variables("${A} $$ ${B:-${C}").unwrap(), ["A", "B"]);
        assert_eq!(uses("${A} ${B:-}").unwrap(), [("A", false), ("B", true)]);
        assert_eq!(expand(&literal("$ $$ ${A}"), &lookup).unwrap(), "$ $$ ${A}");
    }
}
