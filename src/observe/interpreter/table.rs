//! The interpreters and how each is told what to run: a table, and how it is read.

use super::Script;

/// One family of interpreters. Options are those that may stand before the script.
#[derive(Debug)]
pub(super) struct Row {
    /// Base names without version.
    pub(super) names: &'static [&'static str],
    /// Words that come first: `deno run`. Empty where there are none.
    verbs: &'static [&'static str],
    /// Without one of the verbs nothing is run (`uv pip`).
    verb_needed: bool,
    /// Single letters that take a value, in the same word or the next.
    valued: &'static str,
    /// Single letters that take the rest of their word, if there is one.
    attached: &'static str,
    /// Longer options that take the next word.
    long: &'static [&'static str],
    /// Options followed by code instead of a script.
    code: &'static [&'static str],
    /// Options followed by the script itself.
    file: &'static [&'static str],
    /// Options followed by a module.
    module: &'static [&'static str],
    /// Letters may stand together in one word, as in `-Im`.
    together: bool,
    /// What begins an option.
    sigils: &'static [char],
    /// A word that is no option names a class.
    classes: bool,
}

const NONE: Row = Row {
    names: &[],
    verbs: &[],
    verb_needed: false,
    valued: "",
    attached: "",
    long: &[],
    code: &[],
    file: &[],
    module: &[],
    together: true,
    sigils: &['-'],
    classes: false,
};

/// First parts of class names that say nothing.
pub(super) const DOMAINS: [&str; 6] = ["org", "com", "net", "io", "de", "dev"];

pub(super) const TABLE: [Row; 19] = [
    Row {
        names: &["python", "pypy", "ipython"],
        valued: "WX",
        long: &["--check-hash-based-pycs"],
        code: &["-c"],
        module: &["-m"],
        ..NONE
    },
    Row {
        names: &["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash"],
        valued: "oO",
        long: &["--rcfile", "--init-file"],
        code: &["-c", "-s"],
        sigils: &['-', '+'],
        ..NONE
    },
    Row { names: &["fish"], valued: "dDCf", long: &["--init-command"], code: &["-c", "--command"], ..NONE },
    Row {
        names: &["node", "nodejs", "tsx", "ts-node", "electron"],
        valued: "rC",
        long: &[
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "--conditions",
            "--env-file",
            "--title",
            "--project",
            "--tsconfig",
        ],
        code: &["-e", "-p", "-pe", "--eval", "--print"],
        together: false,
        ..NONE
    },
    Row {
        names: &["deno"],
        verbs: &["run", "serve", "task"],
        valued: "cL",
        long: &[
            "--config",
            "--import-map",
            "--lock",
            "--cert",
            "--seed",
            "--log-level",
            "--port",
            "--host",
            "--env-file",
        ],
        code: &["eval"],
        together: false,
        ..NONE
    },
    Row {
        names: &["bun"],
        verbs: &["run", "x"],
        valued: "rc",
        long: &["--preload", "--cwd", "--config", "--env-file", "--port", "--filter"],
        code: &["-e", "--eval", "-p", "--print"],
        together: false,
        ..NONE
    },
    Row { names: &["bunx", "npx", "uvx"], long: &["--package", "--from", "--with", "--python"], valued: "p", ..NONE },
    Row {
        names: &["uv"],
        verbs: &["run"],
        verb_needed: true,
        valued: "pC",
        long: &[
            "--with",
            "--with-editable",
            "--with-requirements",
            "--python",
            "--project",
            "--directory",
            "--extra",
            "--group",
            "--only-group",
            "--no-group",
            "--package",
            "--env-file",
            "--index",
            "--index-url",
            "--extra-index-url",
            "--default-index",
            "--cache-dir",
            "--config-file",
            "--color",
        ],
        file: &["-s", "--script", "--gui-script"],
        module: &["-m", "--module"],
        together: false,
        ..NONE
    },
    Row {
        names: &["poetry", "pipenv", "pdm", "hatch", "rye", "pixi", "conda", "mamba", "micromamba"],
        verbs: &["run"],
        verb_needed: true,
        valued: "CPpnme",
        long: &["--directory", "--project", "--name", "--prefix", "--environment", "--manifest-path"],
        ..NONE
    },
    Row {
        names: &["java"],
        long: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--upgrade-module-path",
            "--add-modules",
            "--add-opens",
            "--add-exports",
            "--add-reads",
            "--limit-modules",
            "--patch-module",
            "--source",
            "--enable-native-access",
        ],
        file: &["-jar"],
        module: &["-m", "--module"],
        together: false,
        sigils: &['-', '@'],
        classes: true,
        ..NONE
    },
    Row { names: &["ruby", "jruby"], valued: "ICEr", attached: "0FKTWxil", code: &["-e"], ..NONE },
    Row { names: &["perl"], valued: "I", attached: "0CDFMdilmxtu", code: &["-e", "-E"], ..NONE },
    Row { names: &["php"], valued: "cdStz", code: &["-r", "-R", "-B"], file: &["-f", "-F"], ..NONE },
    Row { names: &["lua", "luajit", "texlua"], valued: "lj", attached: "Ob", code: &["-e"], ..NONE },
    Row { names: &["Rscript"], code: &["-e"], together: false, ..NONE },
    Row { names: &["R"], valued: "gd", code: &["-e"], file: &["-f", "--file"], together: false, ..NONE },
    Row {
        names: &["julia"],
        valued: "HJCLptO",
        long: &["--project", "--threads", "--procs", "--load", "--sysimage", "--home", "--cpu-target"],
        code: &["-e", "-E", "--eval", "--print"],
        together: false,
        ..NONE
    },
    Row {
        names: &["dotnet", "mono"],
        verbs: &["exec"],
        long: &["--depsfile", "--runtimeconfig"],
        together: false,
        ..NONE
    },
    Row {
        names: &["pwsh"],
        long: &["-ExecutionPolicy"],
        code: &["-c", "-Command"],
        file: &["-f", "-File"],
        together: false,
        ..NONE
    },
];

/// What one word means before the script is found.
enum Word<'a> {
    /// An option by itself, or with its value in the same word.
    Option,
    /// An option whose value is the next word.
    Skip,
    /// No script is run.
    Code,
    /// The script is the next word (or this text): made into one by the function.
    Next(fn(&'a str) -> Script<'a>),
    This(Script<'a>),
}

impl Row {
    /// The script among the arguments, and what follows it.
    pub(super) fn script<'a>(&self, args: &'a [String]) -> Option<(Script<'a>, &'a [String])> {
        let mut verb_missing = !self.verbs.is_empty();
        let mut rest = args;
        while let Some((word, after)) = rest.split_first() {
            rest = after;
            if verb_missing && !word.starts_with(self.sigils) {
                verb_missing = false;
                if self.verbs.contains(&word.as_str()) {
                    continue;
                }
                if self.verb_needed {
                    return None;
                }
            }
            match self.word(word) {
                Word::Option => {}
                Word::Skip => rest = rest.get(1..)?,
                Word::Code => return None,
                Word::Next(kind) => return rest.split_first().map(|(word, after)| (kind(word), after)),
                Word::This(script) => return Some((script, rest)),
            }
        }
        None
    }

    fn word<'a>(&self, word: &'a str) -> Word<'a> {
        let is = |list: &[&str]| list.contains(&word);
        let given = |list: &[&str]| list.iter().find_map(|o| word.strip_prefix(o)?.strip_prefix('='));
        match word {
            "--" => return Word::Next(self.plain()),
            "-" => return Word::Code,
            _ if is(self.code) => return Word::Code,
            _ if is(self.file) => return Word::Next(Script::File),
            _ if is(self.module) => return Word::Next(Script::Dotted),
            _ if is(self.long) => return Word::Skip,
            _ if !word.starts_with(self.sigils) => return Word::This(self.plain()(word)),
            _ => {}
        }
        if let Some(file) = given(self.file) {
            return Word::This(Script::File(file));
        }
        if let Some(module) = given(self.module) {
            return Word::This(Script::Dotted(module));
        }
        if word.starts_with("--") { Word::Option } else { self.letters(word) }
    }

    /// A word of single letters, such as `-Im`.
    fn letters<'a>(&self, word: &'a str) -> Word<'a> {
        let count = if self.together { usize::MAX } else { 1 };
        let has = |list: &[&str], letter: char| {
            list.iter().any(|o| o.strip_prefix('-').is_some_and(|o| o.chars().eq([letter])))
        };
        for (at, letter) in word.char_indices().skip(1).take(count) {
            let tail = word.get(at + letter.len_utf8()..).unwrap_or_default();
            let value = |kind: fn(&'a str) -> Script<'a>| {
                if tail.is_empty() { Word::Next(kind) } else { Word::This(kind(tail)) }
            };
            // Where letters do not stand together, `-Dx=y` is an option of its own.
            if !self.together && !tail.is_empty() {
                return Word::Option;
            }
            if has(self.code, letter) {
                return Word::Code;
            }
            if has(self.file, letter) {
                return value(Script::File);
            }
            if has(self.module, letter) {
                return value(Script::Dotted);
            }
            if self.valued.contains(letter) {
                return if tail.is_empty() { Word::Skip } else { Word::Option };
            }
            if self.attached.contains(letter) {
                return Word::Option;
            }
        }
        Word::Option
    }

    /// What a word that is no option is: a class for java, unless it is a source file.
    fn plain<'a>(&self) -> fn(&'a str) -> Script<'a> {
        fn class(word: &str) -> Script<'_> {
            if word.ends_with(".java") { Script::File(word) } else { Script::Dotted(word) }
        }
        if self.classes { class } else { Script::File }
    }
}
