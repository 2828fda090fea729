//! Ten thousand calls of one user at the same time: others are served.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use zbus::{Fd, Variant};

use super::attacker::{Line, attack, pidfd, shown};
use super::{process_of, well};
use crate::rig::{Result, Rig};

/// The bus lets one connection wait for 128 answers.
const LINES: usize = 80;
const EACH: usize = 125;

pub fn others_are_served(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        let victim = process_of(rig, "root", "exec sleeper")?;
        let (pid, identity) = (victim.to_string(), rig.identity(victim).ok_or("no victim")?);
        let alone = attack(&rig.as_user("watson"), "steady", &[&pid, "60"])?;
        println!("watson alone: {alone}");
        let memory = || rig.main_pid("provost.service").and_then(|pid| rig.read(&format!("/proc/{pid}/status")));
        for method in ["ProcessDetails", "Explain", "PortOwner", "SignalProcess", "rubbish"] {
            let (flood, beside) = std::thread::scope(|scope| {
                let flood = scope
                    .spawn(|| attack(&rig.as_user("eve").timeout(Duration::from_secs(120)), "flood", &[&pid, method]));
                let beside = attack(&rig.as_user("watson"), "steady", &[&pid, "60"]);
                (flood.join(), beside)
            });
            let flood = flood.map_err(|_| "the flood panicked")??;
            println!("{flood}\n  watson beside it: {}", beside?);
        }
        let status = memory()?;
        let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default().to_owned();
        let fds = rig.as_root().run(["sh", "-c", "ls /proc/$(systemctl show -P MainPID provost)/fd | wc -l"])?.ok()?;
        println!("the daemon afterwards: {rss}, {fds} descriptors");
        expect!(fds.trim().parse::<u32>()? < 100, "{fds} descriptors are open");
        expect!(rig.lives(identity), "the victim was hit");
        rig.signal(identity, rustix::process::Signal::KILL)?;
        well(rig)
    })
}

/// Runs in the rig: all calls are sent before the first answer is read.
pub async fn flood(args: &[String]) -> Result<String> {
    let victim = pidfd(args.first().ok_or("no victim")?.parse()?)?;
    let method = args.get(1).map_or("ProcessDetails", String::as_str);
    let since = Instant::now();
    let mut lines = Vec::new();
    for _ in 0..LINES {
        let line = Line::new().await?;
        for _ in 0..EACH {
            match method {
                "Explain" => {
                    line.send(method, false, &(Variant::from(Fd::from(&victim)), "stop", 15i32)).await?;
                }
                "PortOwner" => drop(line.send(method, false, &(80u16,)).await?),
                "SignalProcess" => drop(line.send(method, true, &(Fd::from(&victim), 15i32)).await?),
                "rubbish" => drop(line.send(method, false, &vec![0u8; 4096]).await?),
                _ => drop(line.send(method, false, &(Fd::from(&victim),)).await?),
            }
        }
        lines.push(line);
    }
    let mut answers: BTreeMap<String, u32> = BTreeMap::new();
    for line in &mut lines {
        for _ in 0..EACH {
            let (_, answer) = tokio::time::timeout(Duration::from_secs(60), line.answer()).await??;
            let said = shown(&answer);
            let kind = said.split([':', ' ']).next().unwrap_or_default().to_owned();
            *answers.entry(kind).or_default() += 1;
        }
    }
    let all = LINES * EACH;
    Ok(format!("{all} calls of {method} at once, answered within {} ms: {answers:?}", since.elapsed().as_millis()))
}

/// Runs in the rig: one call after the other, as somebody else; each must be answered, and soon.
pub async fn steady(args: &[String]) -> Result<String> {
    let victim = pidfd(args.first().ok_or("no victim")?.parse()?)?;
    let count: usize = args.get(1).ok_or("no count")?.parse()?;
    let mut line = Line::new().await?;
    let mut times = Vec::new();
    let mut again = 0;
    for _ in 0..count {
        let since = Instant::now();
        let said = loop {
            let said = line.call("Explain", false, &(Variant::from(Fd::from(&victim)), "kill", 15i32)).await?;
            // The bus keeps at most 64 descriptors for one receiver, and gives back what it has no room for.
            if !said.contains("destination has a full message queue") || since.elapsed() > Duration::from_secs(10) {
                break said;
            }
            again += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        if !said.contains("needs-password") {
            return Err(format!("not answered: {said}").into());
        }
        times.push(since.elapsed());
    }
    times.sort_unstable();
    let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
    if longest > Duration::from_secs(10) {
        return Err(format!("one took {longest:?}").into());
    }
    let (median, longest) = (median.as_millis(), longest.as_millis());
    Ok(format!("{count} questions answered, median {median} ms, longest {longest} ms, given back by the bus: {again}"))
}
