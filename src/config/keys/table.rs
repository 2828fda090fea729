//! The table itself.

use super::{Key, Kind, Shape};

const fn key(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { name, kind, default, about }
}

const LATER: Kind = Kind::Span { positive: true };
const DELAY: Kind = Kind::Span { positive: false };

/// The keys of a file.
pub(in crate::config) static FILE: &[Key] = &[
    key("$schema", Kind::Text(Shape::Line), "", "the JSON Schema of this file, for editors; not read"),
    key("defaults", Kind::Table(SERVICE), "", "what is under every service; a service's own keys come before it"),
    key("service", Kind::Names(Shape::Id, &Kind::Table(SERVICE)), "", "the services, by id"),
    key("paths", Kind::Table(PATHS), "", "where things are kept"),
    key("daemon", Kind::Table(DAEMON), "", "how the daemon behaves"),
    key("orphans", Kind::Table(ORPHANS), "", "what is looked for when orphans are"),
    key("http", Kind::Table(HTTP), "", "where the daemon answers HTTP, besides its socket"),
];

/// The keys of a `kinds.toml`.
pub(in crate::config) static KINDS: &[Key] =
    &[key("kind", Kind::Names(Shape::Free, &Kind::Table(SERVICE)), "", "kinds of programs, by name")];

static PATHS: &[Key] = &[key("pid_dir", Kind::Text(Shape::Path), "", "the folder of the pid files")];

static DAEMON: &[Key] = &[
    key(
        "on_stop",
        Kind::Choice(&["keep", "stop"]),
        "",
        "what becomes of services when SIGTERM or SIGINT ends the daemon; else those of the systemd backend are kept \
         and others stopped. provost daemon stop does not go by it: it has --services",
    ),
    key("watch", Kind::Flag, "true", "whether a change of this file, or of an env_file, is applied by itself"),
];

static ORPHANS: &[Key] =
    &[key("match", Kind::List(&Kind::Text(Shape::Line)), "[]", "names of processes that may be orphans")];

static HTTP: &[Key] = &[
    key("listen", Kind::Text(Shape::Listen), "", "the address, for whoever has a token: provost token create"),
    key("allow_remote", Kind::Flag, "false", "the address may be one that other hosts reach; needs tls"),
    key("tls", Kind::Table(TLS), "", "the certificate; without: plain HTTP"),
    key("hosts", Kind::List(&Kind::Text(Shape::Line)), "[]", "names by which clients call it, besides localhost"),
    key("origins", Kind::List(&Kind::Text(Shape::Line)), "[]", "origins of web pages that may call it (CORS)"),
];

static TLS: &[Key] = &[
    key("cert", Kind::Text(Shape::Path), "", "the certificate and those that signed it, as PEM; relative to this file"),
    key("key", Kind::Text(Shape::Path), "", "its private key, as PEM; relative to this file"),
];

/// The keys of a service.
pub(in crate::config) static SERVICE: &[Key] = &[
    key("name", Kind::Text(Shape::Line), "", "the name for people"),
    key("command", Kind::Command, "", "the program and its arguments; run by no shell"),
    key("script", Kind::Text(Shape::Path), "", "a script, instead of a command; relative to cwd"),
    key(
        "interpreter",
        Kind::Text(Shape::Program),
        "\"auto\"",
        "what runs the script; auto: {cwd}/.venv/bin/python, {cwd}/venv/bin/python, python3",
    ),
    key("args", Kind::List(&Kind::Word), "[]", "arguments behind the command or the script"),
    key(
        "kind",
        Kind::Text(Shape::Line),
        "",
        "the kind of program, which brings keys: custom, filebeat, llama-server, node_exporter, ollama, telegraf, \
         and those of a kinds.toml",
    ),
    key("cwd", Kind::Text(Shape::Path), "\".\"", "the folder it runs in; relative to the folder of this file"),
    key("env", Kind::Names(Shape::Variable, &Kind::Word), "{}", "its environment variables"),
    key(
        "env_file",
        Kind::Text(Shape::Path),
        "",
        "a file of NAME=VALUE lines, read at each start; relative to the folder of this file",
    ),
    key(
        "port",
        Kind::Port,
        "",
        "a port, or a range of which the lowest free one is taken; exported as PORT, and ${PORT}",
    ),
    key("socket", Kind::Text(Shape::Path), "", "the path of its Unix socket: ${socket}; relative to cwd"),
    key(
        "config_file",
        Kind::Text(Shape::Path),
        "",
        "the path of its own configuration: ${config_file}; relative to cwd",
    ),
    key("config_check", Kind::Command, "", "says by its exit code whether ${config_file} is good, before it is read"),
    key(
        "reload_on",
        Kind::List(&Kind::Text(Shape::Path)),
        "[]",
        "further files whose change has it read its configuration again; relative to cwd",
    ),
    key("watch", Kind::Table(WATCH), "", "files whose change restarts it, for development; {}: all below cwd"),
    key("on", Kind::Table(ON), "{}", "commands that are run when something happens to it, with the event as JSON"),
    key("ready", Kind::Table(READY), "", "when it counts as ready; exactly one check; without: as soon as it runs"),
    key(
        "oneshot",
        Kind::Flag,
        "false",
        "it runs once: what comes after it starts when it has ended with 0; started again only by restart.policy on-failure",
    ),
    key("restart", Kind::Table(RESTART), "", "when it is started again"),
    key("stop", Kind::Table(STOP), "", "how it is stopped"),
    key("reload", Kind::Table(RELOAD), "", "how it reads its configuration again: a signal, a command or a restart"),
    key("after", Kind::List(&Kind::Text(Shape::Id)), "[]", "it starts when these are ready, and stops before them"),
    key("enabled", Kind::Flag, "true", "whether it starts with its project or the daemon"),
    key("instances", Kind::Whole(1, 10_000), "", "how many of it: ID-1 to ID-N; their number is ${INSTANCE}"),
    key("meta", Kind::Names(Shape::Free, &Kind::Any), "{}", "what you say of it; shown in the registry"),
    key("gpus", Kind::List(&Kind::Word), "[]", "the GPUs that it may see"),
    key("pid_file", Kind::Text(Shape::Path), "", "where its pid is written too; relative to the folder of pid files"),
    key("limits", Kind::Table(LIMITS), "", "what it may use"),
    key("health", Kind::Table(HEALTH), "", "whether it does its work while it runs; else it is started again"),
    key("user", Kind::Text(Shape::User), "", "the user that it runs as; system instance only"),
    key("backend", Kind::Choice(&["auto", "systemd", "direct", "sim"]), "\"auto\"", "how it is run"),
    key("systemd", Kind::Properties, "{}", "further properties of its unit, by their names in unit files"),
    key("log", Kind::Table(LOG), "", "where its output goes"),
];

/// Of these one is chosen; a service's own check replaces one of the defaults.
pub(in crate::config) const READY_CHECKS: [&str; 6] = ["http", "tcp", "unix", "exec", "log", "notify"];

static READY: &[Key] = &[
    key("http", Kind::Text(Shape::Url), "", "a GET answers with 200 to 399"),
    key("tcp", Kind::Text(Shape::Address), "", "a TCP connection to HOST:PORT is accepted"),
    key("unix", Kind::Text(Shape::Socket), "", "a connection to this Unix socket is accepted"),
    key("exec", Kind::Command, "", "a command exits with 0"),
    key("log", Kind::Text(Shape::Pattern), "", "a line of its output matches this regular expression"),
    key("notify", Kind::Yes, "", "it says READY=1 by sd_notify"),
    key("timeout", LATER, "\"1m\"", "how long it may take from the start; longer counts as a failure"),
    key("interval", LATER, "\"200ms\"", "how often it is asked"),
];

/// Of these there is at least one.
pub(in crate::config) const HEALTH_LOOKS: [&str; 7] = ["http", "tcp", "unix", "exec", "heartbeat", "memory", "cpu"];

static HEALTH: &[Key] = &[
    key("http", Kind::Text(Shape::Url), "", "a GET answers with 200 to 399"),
    key("tcp", Kind::Text(Shape::Address), "", "a TCP connection to HOST:PORT is accepted"),
    key("unix", Kind::Text(Shape::Socket), "", "a connection to this Unix socket is accepted"),
    key("exec", Kind::Command, "", "a command exits with 0"),
    key("heartbeat", Kind::Table(HEARTBEAT), "", "it says by itself that it lives: WATCHDOG=1 by sd_notify, or a file"),
    key("memory", Kind::Table(MEMORY), "", "how much memory all its processes may use together"),
    key("cpu", Kind::Table(CPU), "", "how much of the processors all its processes may use together"),
    key("interval", LATER, "\"10s\"", "how often each of these is looked at"),
    key("timeout", LATER, "\"5s\"", "how long an answer may take"),
    key("failures", Kind::Whole(1, 1000), "3", "how many failures of one check in a row are too many"),
    key("start_period", DELAY, "\"30s\"", "for so long from the start failures do not count, until it was well once"),
    key("load_timeout", DELAY, "\"10m\"", "for so long from the start an answer that says \"loading\" is a good one"),
];

static HEARTBEAT: &[Key] = &[
    key("file", Kind::Text(Shape::Path), "", "a file that it writes again and again; relative to cwd"),
    key("timeout", LATER, "\"30s\"", "the longest time between two signs of life"),
];

static MEMORY: &[Key] = &[
    key("max", Kind::Size, "", "more than this is too much"),
    key("for", LATER, "\"30s\"", "for how long more than that is no harm"),
];

static CPU: &[Key] = &[
    key("max", Kind::Percent, "", "more than this is too much; 100% is one processor"),
    key("for", LATER, "\"30s\"", "for how long more than that is no harm"),
];

static RESTART: &[Key] = &[
    key("policy", Kind::Choice(&["always", "on-failure", "never"]), "\"always\"", "which ends are followed by a start"),
    key("base", DELAY, "\"1s\"", "the first delay; each further one is twice as long"),
    key("max", DELAY, "\"30s\"", "the longest delay"),
    key("tries", Kind::Whole(-1, i32::MAX as i64), "10", "how many failures in a row end in failed; -1: no limit"),
    key("reset_after", DELAY, "\"10s\"", "a run of this length sets the count of failures back to 0"),
    key("warn_after", Kind::Whole(0, 1_000_000), "5", "more failures in a row than this are an event to warn of"),
    key("jitter", Kind::Share, "0.0", "a delay is made longer by a random part of it, at most this share"),
];

static STOP: &[Key] =
    &[key("signals", Kind::Ladder, "[\"TERM:30s\", \"KILL\"]", "signals, each with how long to wait for the end")];

static RELOAD: &[Key] = &[
    key("signal", Kind::Signal, "", "a signal to the main process"),
    key("exec", Kind::Command, "", "a command; run by no shell"),
    key("restart", Kind::Yes, "", "by a restart: it has no other way"),
];

static WATCH: &[Key] = &[
    key("paths", Kind::List(&Kind::Text(Shape::Path)), "[]", "files and folders; relative to cwd; without: cwd itself"),
    key(
        "ignore",
        Kind::List(&Kind::Text(Shape::Line)),
        "[]",
        "what is not watched, as in a .gitignore, which counts too",
    ),
    key("debounce", DELAY, "\"500ms\"", "how long it must be quiet: one restart for each burst of changes"),
];

/// The names of events: see [`crate::model::service::EventKind::name`].
pub(in crate::config) static ON: &[Key] = &[
    key("any", Kind::Command, "", "whatever it is"),
    key("added", Kind::Command, "", "it is known from now on"),
    key("changed", Kind::Command, "", "its description changed"),
    key("removed", Kind::Command, "", "it is forgotten"),
    key("starting", Kind::Command, "", "it is being started"),
    key("running", Kind::Command, "", "it runs"),
    key("ready", Kind::Command, "", "it is ready"),
    key("stopping", Kind::Command, "", "it is being stopped"),
    key("stopped", Kind::Command, "", "it is stopped"),
    key("restarting", Kind::Command, "", "it ended, and is to be started again"),
    key("failed", Kind::Command, "", "it failed, and is not started again"),
    key("done", Kind::Command, "", "it ran once, and ended with 0"),
    key("exited", Kind::Command, "", "its main process ended"),
    key("healthy", Kind::Command, "", "it does its work again"),
    key("unhealthy", Kind::Command, "", "it does not do its work"),
    key("port", Kind::Command, "", "it has another port than before"),
    key("reloaded", Kind::Command, "", "it read its configuration again"),
    key("adopted", Kind::Command, "", "a daemon that started took it over"),
    key("warning", Kind::Command, "", "there is something to know"),
];

static LIMITS: &[Key] = &[
    key("memory", Kind::Size, "", "of all its processes together"),
    key("cpu", Kind::Percent, "", "of all its processes together; 100% is one processor"),
    key("tasks", Kind::Whole(1, i64::MAX), "", "of processes and threads"),
    key("nofile", Kind::Whole(1, i64::MAX), "", "of open files of each process"),
    key("nice", Kind::Whole(-20, 19), "", "its share of busy processors: 19 is the least"),
    key("oom_score_adjust", Kind::Whole(-1000, 1000), "", "how soon it is killed when memory runs out: 1000 is first"),
];

static LOG: &[Key] = &[
    key("file", Kind::Flag, "false", "its output goes to files in the systemd backend too"),
    key("path", Kind::Text(Shape::Path), "", "its files are in PATH/ID/; relative to the folder of this file"),
    key("max_size", Kind::Size, "\"50M\"", "a file of this size is followed by a new one"),
    key("max_age", DELAY, "\"1day\"", "a file that began so long ago is followed by a new one; 0s: never"),
    key("keep", Kind::Whole(0, 100_000), "7", "how many older files are kept"),
    key("keep_for", DELAY, "\"7days\"", "how long older files are kept; 0s: for ever"),
    key("keep_size", Kind::Size, "\"1G\"", "all its files have at most this size together; the oldest go first"),
    key("compress", Kind::Choice(&["gzip", "none"]), "\"gzip\"", "how older files are kept"),
    key(
        "max_line",
        Kind::Size,
        "\"1M\"",
        "longer lines are in parts: with another value than this one in the files, too",
    ),
    key(
        "ansi",
        Kind::Choice(&["keep", "strip"]),
        "\"keep\"",
        "whether colours that it writes are left out, of its files too",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_there_twice_and_defaults_are_json() {
        fn check(keys: &[Key]) {
            let mut names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), keys.len());
            for key in keys {
                assert!(!key.about.is_empty(), "{}", key.name);
                assert!(key.default.is_empty() || serde_json::from_str::<serde_json::Value>(key.default).is_ok());
                if let Kind::Table(inner) = key.kind {
                    check(inner);
                }
            }
        }
        check(FILE);
        use crate::model::service::{EventKind, ServiceState};
        use ServiceState::{Done, Failed, Restarting, Running, Starting, Stopped, Stopping};
        let states = [Done, Failed, Restarting, Running, Starting, Stopped, Stopping];
        let mut events: Vec<EventKind> = states.map(|to| EventKind::State { from: Stopped, to, pid: None }).into();
        events.extend([EventKind::Added, EventKind::Removed, EventKind::Changed, EventKind::Ready, EventKind::Healthy]);
        events.extend([EventKind::Unhealthy, EventKind::Port { port: 1 }, EventKind::Reloaded, EventKind::Adopted]);
        events.extend([EventKind::Warning, EventKind::Exited { exit: crate::model::service::Exit::Unknown }]);
        assert!(events.iter().all(|event| ON.iter().any(|key| key.name == event.name())));
        assert_eq!(events.len() + 1, ON.len(), "and any of them");
        assert_eq!(HEALTH.iter().map(|key| key.name).take(7).collect::<Vec<_>>(), HEALTH_LOOKS);
        assert_eq!(READY.iter().map(|key| key.name).take(6).collect::<Vec<_>>(), READY_CHECKS);
    }
}
