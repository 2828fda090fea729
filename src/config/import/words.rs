//! Words of commands and texts with dollars, from the languages of others into that of our config.

/// A text that stands for itself: our variables are written `${NAME}`, and `$$` is one dollar.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        if c == '$' && matches!(rest.peek(), Some('$' | '{')) {
            out.push('$');
        }
    }
    out
}

/// A path that stands for itself: without `${` ours are not looked into.
pub(super) fn literal_path(text: &str) -> String {
    if text.contains("${") { literal(text) } else { text.to_owned() }
}

/// A text in which `$NAME` and `${NAME}` are variables of the environment that may be unset, as
/// Go's os.ExpandEnv has them; with `bare` false only `${NAME}` is one.
pub(super) fn variables(text: &str, bare: bool, dollars: bool) -> String {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (word, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((word, _)) => (word, word.len() + 2),
            None => {
                let end = after.find(|c| !name(c)).unwrap_or(after.len());
                (if bare { &after[..end] } else { "" }, if bare { end } else { 0 })
            }
        };
        let (plain, default) = word.split_once(":-").unwrap_or((word, ""));
        if dollars && after.starts_with('$') {
            out.push_str("$$");
            rest = &after[1..];
            // "$$" is one dollar; before a letter it needs no second one of ours.
            if !rest.starts_with(['{', '$']) {
                out.pop();
            }
            continue;
        }
        let head = plain.chars().next().is_some_and(|c| name(c) && !c.is_ascii_digit());
        if head && plain.chars().all(name) && !default.contains(['$', '{']) {
            out.push_str(&format!("${{{plain}:-{default}}}"));
            rest = &after[length..];
        } else {
            out.push('$');
            if after.starts_with(['$', '{']) {
                out.push('$');
            }
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

/// What only a shell does, and what `exec` cannot stand before.
const BUILTINS: [&str; 22] = [
    "cd", "export", "source", ".", "exec", "if", "while", "until", "for", "case", "set", "unset", "ulimit", "trap",
    "eval", "test", "[", "umask", "alias", "read", "wait", ":",
];

/// A command of a shell: as plain words where it is nothing else, or for `sh -c`.
pub(super) fn shell(text: &str, shell: &[&str]) -> Vec<String> {
    let text = text.trim();
    let look = look(text);
    if look == Look::Plain
        && let Some(words) = shlex::split(text).filter(|words| !words.is_empty())
        && !BUILTINS.contains(&words[0].as_str())
    {
        return words.iter().map(|word| literal(word)).collect();
    }
    let first = text.split_whitespace().next().unwrap_or_default();
    // The shell becomes the program: it gets the signals, and its end is that of the service.
    let one = look != Look::Several && !BUILTINS.contains(&first) && !assigns(first);
    let text = if one { format!("exec {text}") } else { text.to_owned() };
    shell.iter().map(|word| (*word).to_owned()).chain([literal(&text)]).collect()
}

/// Whether a word is NAME=VALUE.
pub(super) fn assigns(word: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    word.split_once('=').is_some_and(|(head, _)| !head.is_empty() && head.chars().all(name))
}

#[derive(PartialEq)]
enum Look {
    /// Words and quotes.
    Plain,
    /// One command, with something that the shell replaces.
    One,
    /// Several commands, or what is more than a command.
    Several,
}

fn look(text: &str) -> Look {
    let mut quote = None;
    let mut found = if assigns(text.split_whitespace().next().unwrap_or_default()) { Look::One } else { Look::Plain };
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (Some(_), '$' | '`' | '!') => found = Look::One,
            (_, '\\') if characters.next() == Some('\n') => found = Look::One,
            (_, '\\') => {}
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            // ${NAME} is no group.
            (None, '}') => {}
            (None, '{') if found == Look::One => {}
            (None, '|' | '&' | ';' | '\n' | '(' | ')' | '{') => return Look::Several,
            (None, '$' | '`' | '*' | '?' | '[' | '~' | '#' | '<' | '>' | '!') => found = Look::One,
            _ => {}
        }
    }
    found
}

/// NAME=VALUE.
pub(super) fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').map(|(name, value)| (name.trim(), value)).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_stay_what_they_were() {
        for (text, ours) in [("$5", "$5"), ("${A}", "$${A}"), ("$$", "$$$"), ("a$", "a$"), ("$$${x}", "$$$$$${x}")] {
            assert_eq!(literal(text), ours);
            let back = crate::model::service::expand(ours, &|_| None).unwrap();
            assert_eq!(back, text);
        }
        for (text, ours) in [
            ("${A}", "${A:-}"),
            ("x$A/y", "x${A:-}/y"),
            ("$5 ${A b} $", "$5 $${A b} $"),
            ("${A:-d}", "${A:-d}"),
            ("a$$b", "a$b"),
        ] {
            assert_eq!(variables(text, true, true), ours, "{text}");
        }
        assert_eq!(variables("$A ${B}", false, false), "$A ${B:-}");
    }

    #[test]
    fn a_shell_runs_only_where_it_is_needed() {
        let sh = ["sh", "-c"];
        for (text, words) in [
            ("bundle exec 'a b'", vec!["bundle", "exec", "a b"]),
            ("run -p $PORT", vec!["sh", "-c", "exec run -p $PORT"]),
            ("run -p ${PORT:-1}", vec!["sh", "-c", "exec run -p $${PORT:-1}"]),
            ("cd x && run", vec!["sh", "-c", "cd x && run"]),
            ("A=1 run", vec!["sh", "-c", "A=1 run"]),
            ("run | tee log", vec!["sh", "-c", "run | tee log"]),
            ("run 'a;b' > log", vec!["sh", "-c", "exec run 'a;b' > log"]),
            ("exit 1; true", vec!["sh", "-c", "exit 1; true"]),
        ] {
            assert_eq!(shell(text, &sh), words, "{text}");
        }
    }
}
