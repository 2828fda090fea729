//! Capture beside its peers: a program writes lines as fast as it is let, at most 200 MB a second, and they go into
//! files of 50 MB, all of which are kept.
//!
//! What counts is how fast the program gets rid of its lines, and what that costs whoever takes them. Every byte must be
//! in the files at the end, in order.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{Result, words};

/// The word that makes this program the one that writes.
const WORD: &str = "write-lines";
/// All that is written.
const BYTES: u64 = 1 << 30;
/// Bytes a second.
const RATE: f64 = 200e6;
/// One line; its number is in it.
const LINE: usize = 100;
const PATIENCE: Duration = Duration::from_secs(180);
/// How often; the median is shown.
const RUNS: usize = 3;

/// Writes the lines, if this program was started for that: `write-lines DONE`.
pub fn main() -> Option<ExitCode> {
    let mut args = std::env::args().skip(1);
    if args.next()? != WORD {
        return None;
    }
    let done = args.next()?;
    let written = write_lines().and_then(|seconds| {
        fs::write(format!("{done}.new"), seconds.to_string())?;
        fs::rename(format!("{done}.new"), done)
    });
    if written.is_err() {
        return Some(ExitCode::FAILURE);
    }
    // Until it is ended: one that ends is started again.
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}

fn write_lines() -> std::io::Result<f64> {
    let mut out = std::io::stdout().lock();
    let (begin, mut written) = (Instant::now(), 0_u64);
    let mut block = vec![b'x'; 640 * LINE];
    while written < BYTES {
        for line in block.chunks_mut(LINE) {
            write!(&mut line[..], "{:012} ", written / LINE as u64)?;
            line[LINE - 1] = b'\n';
            written += LINE as u64;
        }
        out.write_all(&block)?;
        let due = Duration::from_secs_f64(written as f64 / RATE);
        if let Some(early) = due.checked_sub(begin.elapsed()) {
            std::thread::sleep(early);
        }
    }
    out.flush()?;
    Ok(begin.elapsed().as_secs_f64())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tool {
    /// Of older files: compressed, or not.
    Provost(bool),
    S6,
    Runit,
    Multilog,
    Supervisord,
    Pm2,
}

const TOOLS: [(&str, &str, Tool); 7] = [
    ("provost", "", Tool::Provost(false)),
    ("provost, gzip", "", Tool::Provost(true)),
    ("s6-log", "s6-log", Tool::S6),
    ("svlogd (runit)", "svlogd", Tool::Runit),
    ("multilog", "multilog", Tool::Multilog),
    ("supervisord", "supervisord", Tool::Supervisord),
    ("pm2 (one file)", "pm2", Tool::Pm2),
];

/// Measures all that are installed, or those whose names begin with one of these words.
pub fn run(provost: &Path, names: &[String]) -> Result<()> {
    println!("\n{} MB of lines, at most 200 MB/s, into files of 50 MB (medians of {RUNS})\n", BYTES / 1_000_000);
    println!("{:18} {:>8} {:>13} {:>17}  captured", "", "MB/s", "its CPU, s", "MB per CPU second");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let chosen = |name: &str| names.iter().any(|word| name.starts_with(word.as_str()));
    let some = TOOLS.iter().any(|(name, _, _)| chosen(name));
    for (name, program, tool) in TOOLS.into_iter().filter(|(name, _, _)| !some || chosen(name)) {
        if !program.is_empty() && !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            println!("{name:18} is not installed");
            continue;
        }
        let runs: Result<Vec<(f64, f64, bool)>> = (0..RUNS).map(|_| measure(provost, tool)).collect();
        match runs {
            Ok(mut runs) => {
                let whole = runs.iter().all(|run| run.2);
                runs.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (seconds, cpu, _) = runs[RUNS / 2];
                let mb = BYTES as f64 / 1e6;
                let (speed, each) = (mb / seconds, mb / cpu);
                let missed =
                    if tool == Tool::Provost(false) && (speed < 150.0 || each < 150.0) { "  MISSED: 150" } else { "" };
                let whole = if whole { "whole" } else { "NOT WHOLE" };
                println!("{name:18} {speed:>8.0} {cpu:>13.2} {each:>17.0}  {whole}{missed}");
            }
            Err(error) => println!("{name:18} {}", words(&error)),
        }
    }
    Ok(())
}

/// The seconds that the writer took, those of the processor that the tool took, and whether everything is there.
fn measure(provost: &Path, tool: Tool) -> Result<(f64, f64, bool)> {
    // Not on a file system in memory, where that is what /tmp is.
    let dir =
        tempfile::tempdir_in(std::env::var_os("PROVOST_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from))?;
    let done = dir.path().join("done");
    let writer = [std::env::current_exe()?.display().to_string(), WORD.to_owned(), done.display().to_string()];
    let mut children = start(provost, tool, dir.path(), &writer)?;
    let begin = Instant::now();
    let mut seconds = None;
    while seconds.is_none() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        seconds = fs::read_to_string(&done).ok().and_then(|text| text.parse::<f64>().ok());
    }
    // What is in the pipe is written soon.
    std::thread::sleep(Duration::from_millis(300));
    let cpu = children.first().map_or(0.0, |tool| cpu_of(tool.id()));
    stop(provost, tool, dir.path(), &mut children);
    let said = fs::read_to_string(dir.path().join("said")).unwrap_or_default();
    let seconds = seconds.ok_or_else(|| format!("it took longer than {PATIENCE:?}: {said}"))?;
    Ok((seconds, cpu, is_whole(tool, dir.path())?))
}

/// The tool first, and the writer where the tool does not start it.
fn start(provost: &Path, tool: Tool, dir: &Path, writer: &[String; 3]) -> Result<Vec<Child>> {
    let said = fs::File::create(dir.join("said"))?;
    let logs = dir.join("logs");
    let at = |name: &str| dir.join(name).display().to_string();
    let quiet = |command: &mut Command| -> Result<Child> {
        Ok(command.stdout(said.try_clone()?).stderr(said.try_clone()?).spawn()?)
    };
    let logger = |words: &[&str]| -> Result<Vec<Child>> {
        let mut logger = quiet(Command::new(words[0]).args(&words[1..]).stdin(Stdio::piped()))?;
        let stdin = logger.stdin.take().ok_or("no pipe")?;
        let writes = Command::new(&writer[0]).args(&writer[1..]).stdin(Stdio::null()).stdout(stdin).spawn()?;
        Ok(vec![logger, writes])
    };
    let line = writer.join(" ");
    match tool {
        Tool::Provost(gzip) => {
            let compress = if gzip { "gzip" } else { "none" };
            let log =
                format!("log = {{ max_size = \"50M\", keep = 1000, keep_size = \"1T\", compress = \"{compress}\" }}");
            fs::write(dir.join("provost.toml"), format!("[service.c]\ncommand = {writer:?}\n{log}\n"))?;
            let daemon = ["daemon", "--user", "--backend", "direct", "-c", &at("provost.toml")];
            Ok(vec![quiet(of_provost(provost, dir)?.args(daemon).stdin(Stdio::null()))?])
        }
        Tool::S6 => logger(&["s6-log", "-b", "n1000", "s50000000", &at("logs")]),
        Tool::Multilog => logger(&["multilog", "n1000", "s16777215", &at("logs")]),
        Tool::Runit => {
            fs::create_dir(&logs)?;
            fs::write(logs.join("config"), "s50000000\nn1000\n")?;
            logger(&["svlogd", "-b", "65536", &at("logs")])
        }
        Tool::Supervisord => {
            fs::create_dir(&logs)?;
            let (pid, log, out) = (at("pid"), at("log"), at("logs/out"));
            let text = format!(
                "[supervisord]\nnodaemon=true\nlogfile={log}\npidfile={pid}\n[program:c]\ncommand={line}\n\
                 stdout_logfile={out}\nstdout_logfile_maxbytes=50000000\nstdout_logfile_backups=1000\n"
            );
            fs::write(dir.join("conf"), text)?;
            Ok(vec![quiet(Command::new("supervisord").args(["-c", &at("conf")]).stdin(Stdio::null()))?])
        }
        Tool::Pm2 => {
            fs::create_dir(&logs)?;
            let (script, args, out, err) = (&writer[0], &writer[1..], at("logs/out"), at("err"));
            let app = format!(
                "{{\"name\":\"c\",\"script\":{script:?},\"args\":{args:?},\"interpreter\":\"none\",\"out_file\":{out:?},\
                 \"error_file\":{err:?},\"merge_logs\":true}}"
            );
            fs::write(dir.join("conf.json"), format!("{{\"apps\":[{app}]}}"))?;
            let mut command = Command::new("pm2");
            command
                .env("PM2_HOME", dir.join("home"))
                .args(["start", &at("conf.json"), "--no-daemon"])
                .stdin(Stdio::null());
            Ok(vec![quiet(&mut command)?])
        }
    }
}

fn of_provost(provost: &Path, dir: &Path) -> Result<Command> {
    let mut command = Command::new(provost);
    for (name, folder) in [("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run"), ("XDG_CONFIG_HOME", "config")] {
        fs::create_dir_all(dir.join(folder))?;
        fs::set_permissions(dir.join(folder), fs::Permissions::from_mode(0o700))?;
        command.env(name, dir.join(folder));
    }
    Ok(command)
}

fn stop(provost: &Path, tool: Tool, dir: &Path, children: &mut Vec<Child>) {
    if let Tool::Provost(_) = tool
        && let Ok(mut command) = of_provost(provost, dir)
    {
        let _ = command.args(["down", "--user", "--all", "--force", "-q"]).stdout(Stdio::null()).status();
    }
    // The writer first: then the logger reads to the end.
    while let Some(mut child) = children.pop() {
        let word = if children.is_empty() { rustix::process::Signal::TERM } else { rustix::process::Signal::KILL };
        let logger = children.is_empty() && matches!(tool, Tool::S6 | Tool::Runit | Tool::Multilog);
        if let (false, Some(pid)) = (logger, rustix::process::Pid::from_raw(child.id().cast_signed())) {
            let _ = rustix::process::kill_process(pid, word);
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Of all its threads, in seconds.
fn cpu_of(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let ticks: u64 = after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Whether all files together are what was written.
fn is_whole(tool: Tool, dir: &Path) -> Result<bool> {
    let mut files = Vec::new();
    find(&if let Tool::Provost(_) = tool { dir.join("state") } else { dir.join("logs") }, &mut files)?;
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files.retain(|file| match tool {
        Tool::Provost(_) => {
            file.parent().is_some_and(|dir| dir.ends_with("c")) && name(file).ends_with(".out")
                || name(file).ends_with(".out.gz")
        }
        _ => name(file) == "current" || name(file).starts_with(['@', 'o']),
    });
    let number = |file: &PathBuf| name(file).split('.').find_map(|part| part.parse::<i64>().ok());
    match tool {
        Tool::Provost(_) => files.sort_by_key(|file| number(file)),
        // The higher the number, the older; the newest has none.
        Tool::Supervisord | Tool::Pm2 => files.sort_by_key(|file| std::cmp::Reverse(number(file).unwrap_or(0))),
        _ => files.sort_by_key(|file| if name(file) == "current" { "~".to_owned() } else { name(file) }),
    }
    let (mut next, mut buffer, mut rest) = (0_u64, vec![0; 1 << 20], Vec::new());
    for file in files {
        let plain = fs::File::open(&file)?;
        let mut reader: Box<dyn std::io::Read> = match name(&file).ends_with(".gz") {
            true => Box::new(
                Command::new("gzip").arg("-dc").stdin(plain).stdout(Stdio::piped()).spawn()?.stdout.ok_or("no pipe")?,
            ),
            false => Box::new(plain),
        };
        loop {
            let got = reader.read(&mut buffer)?;
            if got == 0 {
                break;
            }
            rest.extend_from_slice(&buffer[..got]);
            let lines = rest.chunks_exact(LINE);
            let tail = lines.remainder().len();
            for line in lines {
                let is = std::str::from_utf8(&line[..12]).ok().and_then(|number| number.parse::<u64>().ok());
                if is != Some(next) || line[LINE - 1] != b'\n' {
                    println!("line {next} of {} is {is:?} in {}", BYTES / LINE as u64, file.display());
                    return Ok(false);
                }
                next += 1;
            }
            rest.drain(..rest.len() - tail);
        }
    }
    Ok(rest.is_empty() && next * LINE as u64 >= BYTES)
}

fn find(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { find(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
