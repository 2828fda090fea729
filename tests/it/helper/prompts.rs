//! Prompts: an agent of the attacker's that never answers. What it is shown, how many there are, and what becomes of one
//! whose caller leaves.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use zbus::message::Type;
use zbus::{Fd, Message, Variant};

use super::attacker::{Line, attack, pidfd, shown};
use super::{process_of, well};
use crate::rig::{Result, Rig};

const ATTEMPTS: usize = 1000;
/// The bus lets one connection wait for so many answers.
const EACH: usize = 100;

pub fn prompts(rig: &Rig) -> Result<()> {
    rig.with_helper(|| {
        // Its name would clear the terminal and speak of somebody else.
        let hostile = "\u{1b}[2Jroot's\nuser 'x'";
        let victim = process_of(rig, "watson", &format!("exec sleeper --comm '{}'", hostile.replace('\'', "'\\''")))?;
        crate::rig::eventually("it has its name", || {
            rig.read(&format!("/proc/{victim}/comm")).is_ok_and(|comm| comm.starts_with('\u{1b}'))
        })?;
        let identity = rig.identity(victim).ok_or("no victim")?;
        let said = attack(&rig.as_user("eve"), "prompts", &[&victim.to_string()])?;
        println!("{said}");
        expect!(rig.lives(identity), "the victim was hit");
        rig.signal(identity, rustix::process::Signal::KILL)?;
        well(rig)
    })
}

/// What the agent heard of one prompt.
struct Prompt {
    message: String,
    cookie: String,
}

/// Registers as the agent of this very process.
async fn agent() -> Result<Line> {
    let line = Line::new().await?;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let start: u64 = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).ok_or("no start")?.parse()?;
    let subject: HashMap<&str, Variant<'_>> = HashMap::from([
        ("pid", Variant::from(std::process::id())),
        ("start-time", Variant::from(start)),
        ("uid", Variant::from(rustix::process::getuid().as_raw() as i32)),
    ]);
    let call = Message::method_call("/org/freedesktop/PolicyKit1/Authority", "RegisterAuthenticationAgent");
    let call = call.destination("org.freedesktop.PolicyKit1").interface("org.freedesktop.PolicyKit1.Authority");
    let call = call.build(&(("unix-process", subject), "C", "/agent"))?;
    line.connection.send(&call).await?;
    let mut line = line;
    let (_, answer) = line.answer().await?;
    match shown(&answer) {
        said if said.starts_with("ok") => Ok(line),
        said => Err(format!("no agent: {said}").into()),
    }
}

/// The next thing that polkit wants of the agent: a prompt, or the cookie of one that is over.
async fn wanted(agent: &mut Line) -> Result<std::result::Result<Prompt, String>> {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(20), agent.next()).await??;
        if message.message_type() != Type::MethodCall {
            continue;
        }
        match message.header().member().map(|member| member.as_str().to_owned()).as_deref() {
            Some("BeginAuthentication") => {
                // action, message, icon, details, cookie, identities
                let body = message.body();
                let all: zbus::wire::Structure<'_> = body.deserialize()?;
                let text = |at: usize| {
                    let field = all.fields().get(at);
                    field.and_then(|field| <&str>::try_from(field).ok()).unwrap_or_default().to_owned()
                };
                return Ok(Ok(Prompt { message: text(1), cookie: text(4) }));
            }
            Some("CancelAuthentication") => return Ok(Err(message.body().deserialize()?)),
            _ => {}
        }
    }
}

/// Runs in the rig.
pub async fn role(args: &[String]) -> Result<String> {
    let victim = pidfd(args.first().ok_or("no victim")?.parse()?)?;
    let mut agent = agent().await?;
    let (mut said, mut over) = (Vec::new(), Vec::new());

    // What is shown, and that it goes with its caller.
    for method in ["SignalProcess", "StopProcessTree", "UserUnit"] {
        let line = Line::new().await?;
        match method {
            "SignalProcess" => line.send(method, true, &(Fd::from(&victim), 15i32)).await?,
            "StopProcessTree" => line.send(method, true, &(Fd::from(&victim), "TERM:1s,KILL")).await?,
            _ => line.send(method, true, &(1000u32, "x.service", "stop", 0i32)).await?,
        };
        // An end may be told twice.
        let prompt = loop {
            match wanted(&mut agent).await? {
                Ok(prompt) => break prompt,
                Err(cookie) if over.contains(&cookie) => {}
                Err(_) => return Err("an end before the prompt".into()),
            }
        };
        said.push(format!("{method}: {}", prompt.message));
        // The agent is told no details, but the words that were made of them.
        if prompt.message.chars().any(char::is_control) || !prompt.message.contains("watson") {
            return Err(format!("no fit words for a terminal, or not of watson: {:?}", prompt.message).into());
        }
        let since = Instant::now();
        drop(line);
        match wanted(&mut agent).await? {
            Err(cookie) if cookie == prompt.cookie => {}
            _ => return Err("another end".into()),
        }
        over.push(prompt.cookie);
        said.push(format!("  over {} ms after its caller has left", since.elapsed().as_millis()));
    }

    // A thousand at once.
    let since = Instant::now();
    let mut lines = Vec::new();
    for _ in 0..ATTEMPTS / EACH {
        let line = Line::new().await?;
        for _ in 0..EACH {
            line.send("SignalProcess", true, &(Fd::from(&victim), 15i32)).await?;
        }
        lines.push(line);
    }
    let mut refused = 0;
    let mut open = Vec::new();
    while refused + open.len() < ATTEMPTS {
        let answered = lines.iter_mut().map(|line| Box::pin(line.answer())).collect::<Vec<_>>();
        tokio::select! {
            answer = first(answered) => {
                let said = shown(&answer?.1);
                if !said.starts_with("LimitsExceeded: ") {
                    return Err(format!("of a thousand: {said}").into());
                }
                refused += 1;
            }
            prompt = wanted(&mut agent) => match prompt? {
                Ok(prompt) => open.push(prompt),
                Err(cookie) if over.contains(&cookie) => {}
                Err(_) => return Err("one has ended".into()),
            },
        }
    }
    said.push(format!(
        "{ATTEMPTS} prompts wanted: {} open, {refused} refused, {} ms",
        open.len(),
        since.elapsed().as_millis()
    ));
    if open.len() != 4 {
        return Err(said.join("\n").into());
    }
    // Whoever has as many as they may is served with all else.
    let mut line = Line::new().await?;
    let since = Instant::now();
    let answer = line.call("Explain", false, &(Variant::from(Fd::from(&victim)), "kill", 15i32)).await?;
    said.push(format!("meanwhile, in {} ms: {answer:.60}", since.elapsed().as_millis()));
    if !answer.contains("needs-password") {
        return Err(said.join("\n").into());
    }
    drop(lines);
    while !open.is_empty() {
        let cookie = wanted(&mut agent).await?.err().ok_or("a fifth prompt")?;
        open.retain(|prompt| prompt.cookie != cookie);
    }
    line.send("SignalProcess", true, &(Fd::from(&victim), 15i32)).await?;
    while wanted(&mut agent).await?.is_err() {}
    said.push("all over when their callers had left, and there is room again".to_owned());
    Ok(said.join("\n"))
}

/// The first of them that is done.
pub async fn first<F: Future + Unpin>(mut all: Vec<F>) -> F::Output {
    std::future::poll_fn(|cx| {
        for one in &mut all {
            if let std::task::Poll::Ready(done) = std::pin::Pin::new(one).poll(cx) {
                return std::task::Poll::Ready(done);
            }
        }
        std::task::Poll::Pending
    })
    .await
}
