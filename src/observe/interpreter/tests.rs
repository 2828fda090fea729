//! Tests of what command lines run, as they are seen on real hosts, and of any words at all.

use proptest::prelude::*;

use super::*;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn innermost(line: &str) -> Option<String> {
    scripts(None, &words(line)).pop().map(|s| s.text().to_owned())
}

#[test]
fn what_is_run() {
    for (line, script) in [
        ("python3 agent.py --port 3", Some("agent.py")),
        ("/usr/bin/python3.11 -u -X utf8 -W ignore /srv/agent.py", Some("/srv/agent.py")),
        ("python3.13t -Xutf8 -Wignore a.py", Some("a.py")),
        ("python -m vllm.entrypoints.openai.api_server --model x", Some("vllm.entrypoints.openai.api_server")),
        ("python3 -Im http.server", Some("http.server")),
        ("python3 -mhttp.server 8000", Some("http.server")),
        ("python3 -c print(1) x.py", None),
        ("python3 -uc print(1)", None),
        ("python3", None),
        ("python3 -", None),
        ("python3 -u -- -odd.py", Some("-odd.py")),
        ("pypy3.10 a.py", Some("a.py")),
        ("bash -eo pipefail run.sh", Some("run.sh")),
        ("-bash", None),
        ("bash -lc python3 x.py", None),
        ("sh /usr/local/bin/start", Some("/usr/local/bin/start")),
        ("bash +x --rcfile rc go.sh", Some("go.sh")),
        ("zsh -f x.zsh", Some("x.zsh")),
        ("node --max-old-space-size=4096 -r dotenv/config server.js", Some("server.js")),
        ("node --import tsx src/index.ts", Some("src/index.ts")),
        ("node -e code x", None),
        ("node /usr/bin/tsx server.ts", Some("server.ts")),
        ("deno run -A --config x.json main.ts", Some("main.ts")),
        ("deno main.ts", Some("main.ts")),
        ("bun run dev.ts", Some("dev.ts")),
        ("bun server.ts", Some("server.ts")),
        ("uv run --with httpx agent.py", Some("agent.py")),
        ("uv run python -u agent.py", Some("agent.py")),
        ("uv run -m app.worker", Some("app.worker")),
        ("uv pip install x", None),
        ("poetry run python -m app", Some("app")),
        ("java -Xmx2g -cp a.jar:b.jar -Dx=y org.foo.Main arg", Some("org.foo.Main")),
        ("java -jar /opt/x/app.jar --server.port=1", Some("/opt/x/app.jar")),
        ("java @args -m mod/org.foo.Main", Some("mod/org.foo.Main")),
        ("java Single.java", Some("Single.java")),
        ("ruby3.1 -I lib -rset -W0 bin/puma", Some("bin/puma")),
        ("perl -MFoo::Bar -w -I lib x.pl", Some("x.pl")),
        ("perl -ne print", None),
        ("php8.2 -d a=b -f index.php", Some("index.php")),
        ("/usr/lib/R/bin/exec/R --no-echo --file=model.R", Some("model.R")),
        ("julia --project=. -t 4 sim.jl", Some("sim.jl")),
        ("dotnet exec app.dll", Some("app.dll")),
        ("ollama serve", None),
        ("python3 -m", None),
        ("python3 -W", None),
    ] {
        assert_eq!(innermost(line).as_deref(), script, "{line}");
    }
}

#[test]
fn by_which_names() {
    let names =
        |exe: Option<&str>, line: &str| names_of(exe, &words(line)).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        names(Some("/usr/bin/python3.11"), "python3 /srv/agent.py"),
        ["python3.11", "python3", "agent.py", "agent"]
    );
    assert_eq!(
        names(None, "python3 -m vllm.entrypoints.api_server"),
        ["python3", "vllm.entrypoints.api_server", "api_server", "vllm"]
    );
    assert_eq!(names(None, "java org.foo.Main"), ["java", "org.foo.Main", "Main"]);
    assert_eq!(names(None, "java -jar x/app-1.2.jar"), ["java", "app-1.2.jar", "app-1.2"]);
    assert_eq!(names(None, "uv run python agent.py"), ["uv", "python", "agent.py", "agent"]);
    assert_eq!(names(Some("/usr/bin/bash"), "-bash"), ["bash", "bash"]);
    assert_eq!(names(Some("/usr/sbin/nginx"), "nginx: master process /usr/sbin/nginx"), ["nginx", "nginx"]);
    assert_eq!(names(None, "sshd: user@pts/0"), ["sshd"]);
    assert_eq!(names_of(Some("/opt/my app/run"), &["/opt/my app/run".to_owned()]), ["run", "run"]);
    assert_eq!(names(None, "tool x.bak"), ["tool"]);
    assert!(names_of(None, &[]).is_empty());
    // A title over the arguments: the executable still says that it is python.
    assert_eq!(names(Some("/usr/bin/python3"), "ray::IDLE"), ["python3", "ray::IDLE"]);
}

proptest! {
    #[test]
    fn no_words_make_it_panic(
        head in prop::sample::select(TABLE.iter().map(|row| row.names[0]).collect::<Vec<_>>()),
        tail in proptest::collection::vec("(-{0,2}|[+@])(\\PC{0,6}|[a-zA-Z]{0,3}|run|é=)", 0..6),
    ) {
        let mut line = vec![head.to_owned()];
        line.extend(tail);
        let _ = names_of(Some("/usr/bin/python3"), &line);
    }
}
