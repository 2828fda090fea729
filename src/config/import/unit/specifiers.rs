//! `%i` and its like, as systemd.unit(5) has them.

use super::super::input::{Field, Notes};
use super::super::{Around, words};

/// The unit whose file is read.
pub(super) struct Unit {
    /// Without `.service`.
    pub(super) name: String,
    /// Before the `@`.
    pub(super) stem: String,
    pub(super) instance: String,
    /// Of the system's manager.
    pub(super) system: bool,
    home: String,
}

impl Unit {
    pub(super) fn of(file: &str, around: &Around<'_>) -> Self {
        let name = file.strip_suffix(".service").unwrap_or(file).to_owned();
        let (stem, instance) = name.split_once('@').unwrap_or((&name, ""));
        let place = around.path.to_string_lossy();
        let system =
            if place.contains("/systemd/user/") { false } else { around.system || place.contains("/systemd/system/") };
        let home = match (&around.home, system) {
            (_, true) => "/root".to_owned(),
            (Some(home), false) => home.to_string_lossy().into_owned(),
            (None, false) => "${HOME}".to_owned(),
        };
        Self { stem: stem.to_owned(), instance: instance.to_owned(), name: name.clone(), system, home }
    }

    /// A text with its specifiers replaced; as a text of our config where `ours` is set.
    pub(super) fn replaced(&self, text: &str, field: &Field, notes: &mut Notes, ours: bool) -> String {
        let mut out = String::new();
        let mut rest = text;
        let plain = |text: &str| if ours { words::literal(text) } else { text.to_owned() };
        while let Some(at) = rest.find('%') {
            out.push_str(&plain(&rest[..at]));
            let mut after = rest[at + 1..].chars();
            let letter = after.next();
            rest = after.as_str();
            match letter {
                Some('%') => out.push('%'),
                None => out.push('%'),
                Some(letter) => match self.one(letter) {
                    Some(value) => out.push_str(&value),
                    None => {
                        notes.say(&field.spot, format!("not replaced: %{letter} is known to systemd only"));
                        out.extend(['%', letter]);
                    }
                },
            }
        }
        out.push_str(&plain(rest));
        out
    }

    fn one(&self, letter: char) -> Option<String> {
        let dir = |system: &str, user: &str| Some(if self.system { system.to_owned() } else { user.to_owned() });
        let home = |rest: &str| format!("{}{rest}", self.home);
        match letter {
            'n' => Some(format!("{}.service", self.name)),
            'N' => Some(self.name.clone()),
            'p' => Some(self.stem.clone()),
            'j' => self.stem.rsplit('-').next().map(str::to_owned),
            'i' | 'I' => (!self.instance.is_empty()).then(|| match letter {
                'I' => self.instance.replace('-', "/").replace("\\x2d", "-"),
                _ => self.instance.clone(),
            }),
            'h' => Some(self.home.clone()),
            't' => dir("/run", "${XDG_RUNTIME_DIR}"),
            'S' => dir("/var/lib", &format!("${{XDG_STATE_HOME:-{}}}", home("/.local/state"))),
            'C' => dir("/var/cache", &format!("${{XDG_CACHE_HOME:-{}}}", home("/.cache"))),
            'E' => dir("/etc", &format!("${{XDG_CONFIG_HOME:-{}}}", home("/.config"))),
            'L' => dir("/var/log", &home("/.local/state/log")),
            'T' => Some("/tmp".to_owned()),
            'V' => Some("/var/tmp".to_owned()),
            'u' => dir("root", "${USER}"),
            'U' => self.system.then(|| "0".to_owned()),
            's' => dir("/bin/sh", "${SHELL:-/bin/sh}"),
            _ => None,
        }
    }
}
