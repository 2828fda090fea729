//! `up`: starts the services of a config; in the foreground it shows what they do until they end
//! or somebody has seen enough.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use super::super::super::args::Up;
use super::super::super::exit::Exit;
use super::super::super::progress::Line;
use super::super::super::render;
use super::super::Context;
use super::super::config::{Changed, of_project};
use super::watch::{self, Hosted, Interrupt};
use super::{fail, hosted};
use crate::config::Project;
use crate::control::Control;
use crate::error::Error;
use crate::gather::Arrange as _;
use crate::model::ServiceId;
use crate::model::service::{Event, EventKind, ServiceReport, ServiceState};
use crate::paths::Places;
use crate::services::{self, Ended, Follow, Goal};
use crate::supervise::changes::{Change, Occasion, in_two};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Up) -> ExitCode {
    match up(ctx, args).await {
        Ok(code) => code,
        Err(error) => ctx.say.error(&ctx.whose(error, &args.ids).await),
    }
}

/// What is to be started.
pub(super) struct Wanted {
    pub(super) path: PathBuf,
    pub(super) project: Project,
    pub(super) ids: Vec<ServiceId>,
}

async fn up(ctx: &Context<'_>, args: &Up) -> Result<ExitCode, Error> {
    let wanted = wanted(ctx, args)?;
    if wanted.ids.is_empty() {
        let path = crate::text::escape(&wanted.path.to_string_lossy());
        ctx.say.text(&format!("nothing to do: {path} describes no enabled service\n"));
        return Ok(Exit::Done.into());
    }
    if args.dry_run {
        return planned(ctx, args, wanted).await;
    }
    let running = ctx.connect().await?;
    if running.is_some() || args.detach {
        say_whose_http(ctx, &wanted);
    }
    if let Some(control) = running {
        if args.linger {
            ctx.daemon(true).await?;
        }
        return with_daemon(ctx, args, &wanted, &control).await;
    }
    if args.detach {
        let control = ctx.daemon(args.linger).await?;
        return detached(ctx, args, &wanted, &control).await;
    }
    let watched = wanted.watched();
    hosted::run(ctx, (&wanted.path, &wanted.project.http), &watched, async |control, interrupt| {
        let follow = tokio::select! {
            follow = start(ctx, args, &wanted, control) => follow?,
            () = interrupt.next() => return Ok(Exit::Done.into()),
        };
        watch::watch(ctx, control, follow, &watched, (Hosted::Here, interrupt)).await
    })
    .await
}

/// `--dry-run`.
async fn planned(ctx: &Context<'_>, args: &Up, wanted: Wanted) -> Result<ExitCode, Error> {
    let known = ctx.known(&[], false).await?;
    if let Some(why) = wanted.is_in_two(&known) {
        return Err(Error::Config(why));
    }
    let runs = |id: &ServiceId| known.iter().any(|report| report.id == *id && report.state.is_alive());
    let (watched, path) = (wanted.watched(), wanted.path);
    let reloaded = of_project(ctx.instance(), wanted.project.clone(), Occasion::Changed)?.all;
    let Changed { mut all, notes, .. } = of_project(ctx.instance(), wanted.project, Occasion::Asked)?;
    // What is named and runs by an older description is restarted, as by a reload.
    let restarted = |(id, change): &(_, Change)| matches!(change, Change::Restarted { .. }) && wanted.ids.contains(id);
    all.extend(reloaded.into_iter().filter(restarted));
    for id in watched.into_iter().filter(|id| !runs(id) || (args.replace && wanted.ids.contains(id))) {
        let change = all.entry(id).or_insert(Change::Started { keys: Vec::new() });
        match change {
            Change::Added { starts } => *starts = true,
            Change::Changed { keys } | Change::Restarted { keys } => {
                *change = Change::Started { keys: std::mem::take(keys) };
            }
            _ => {}
        }
    }
    if ctx.say.json {
        ctx.say.json(&serde_json::json!({"path": path, "dry_run": true, "changes": all}));
    } else if all.is_empty() {
        ctx.say.text("nothing to do: all of them run\n");
    }
    for (id, change) in all.iter().filter(|_| !ctx.say.json) {
        let words = match change {
            Change::Started { .. } if runs(id) => "stopped, and started again".to_owned(),
            Change::Started { .. } => "started".to_owned(),
            change => change.to_string(),
        };
        ctx.say.text(&format!("{id}: would be {words}\n"));
    }
    notes.iter().filter(|_| !args.replace).for_each(|note| ctx.say.note(&format!("provost: {note}")));
    Ok(Exit::Done.into())
}

/// A daemon has many projects: what is its own is in its own config.
fn say_whose_http(ctx: &Context<'_>, wanted: &Wanted) {
    let Some(places) = Places::of(ctx.instance(), rustix::process::geteuid().as_raw()) else { return };
    if wanted.project.http.listen.is_some() && wanted.path.parent() != Some(&places.config) {
        let own = places.config.join("provost.toml");
        ctx.say.note(&format!(
            "provost: a daemon reads [http] from its own config ({}, or the one that it was started with), and \
             'provost up' in the foreground from this one",
            own.display()
        ));
    }
}

async fn with_daemon(ctx: &Context<'_>, args: &Up, wanted: &Wanted, control: &Control) -> Result<ExitCode, Error> {
    hosted::warn(ctx, control).await;
    if args.detach {
        return detached(ctx, args, wanted, control).await;
    }
    let mut interrupt = Interrupt::new()?;
    let follow = start(ctx, args, wanted, control).await?;
    watch::watch(ctx, control, follow, &wanted.watched(), (Hosted::Elsewhere, &mut interrupt)).await
}

fn wanted(ctx: &Context<'_>, args: &Up) -> Result<Wanted, Error> {
    let choice = ctx.choice(args.config.as_deref());
    let passed = || crate::config::passed_over(&std::env::current_dir().ok()?, choice.uid);
    let own = choice.instance == crate::model::Instance::User && choice.uid != 0;
    let passed = if choice.named.is_none() && own { passed() } else { None };
    let Some(path) = services::choose(choice)? else {
        let none = match choice.uid {
            0 => {
                "you have no config of your own, and one found from here upwards does not count for root: name it \
                  with -c FILE"
            }
            _ => "there is no provost.toml, .yaml or .json of yours here or above, nor an own one: write one",
        };
        let none = passed.unwrap_or_else(|| none.to_owned());
        return Err(Error::Config(format!("{none}, or start a command with provost run -- COMMAND")));
    };
    if let Some(why) = passed {
        ctx.say.note(&format!("provost: {why}; {} is taken", crate::text::escape(&path.to_string_lossy())));
    }
    let project = services::load(&path, choice)?;
    for warning in &project.warnings {
        ctx.say.note(&format!("provost: {warning}"));
    }
    let ids = services::selected(&project, &args.ids)?;
    Ok(Wanted { path, project, ids })
}

impl Wanted {
    /// Whether another config that is there has one of these, too: the daemon refuses that.
    fn is_in_two(&self, known: &[ServiceReport]) -> Option<String> {
        for report in known {
            let project = report.project.as_ref().filter(|path| **path != self.project.path);
            let Some(theirs) = project.filter(|path| path.try_exists().unwrap_or(true)) else { continue };
            for spec in &self.project.services {
                let mut names = [Some(&spec.id), spec.group()].into_iter().flatten();
                if let Some(id) = names.find(|id| report.id == **id || report.instance_of.as_ref() == Some(*id)) {
                    return Some(in_two(id, &self.project.path, theirs));
                }
            }
        }
        None
    }

    /// Those that are started, with those that start before them.
    fn watched(&self) -> Vec<ServiceId> {
        let mut all = self.ids.clone();
        let mut at = 0;
        while let Some(id) = all.get(at).cloned() {
            at += 1;
            let spec = self.project.services.iter().find(|spec| spec.id == id);
            for before in spec.into_iter().flat_map(|spec| &spec.after) {
                let means = |spec: &&crate::model::service::ServiceSpec| {
                    spec.id == *before || spec.instance_of.as_ref().is_some_and(|(of, _)| of == before)
                };
                for spec in self.project.services.iter().filter(means) {
                    if !all.contains(&spec.id) {
                        all.push(spec.id.clone());
                    }
                }
            }
        }
        all
    }
}

/// Loads the config and gives the command; what happens is followed from the time that is returned.
async fn start(
    ctx: &Context<'_>,
    args: &Up,
    wanted: &Wanted,
    control: &Control,
) -> Result<(Follow, SystemTime), Error> {
    let mut environment = services::sent_along(&wanted.project.services);
    if let Some(dir) = &args.pid_dir {
        let dir = std::path::absolute(dir).map_err(|source| Error::Io { what: dir.display().to_string(), source })?;
        environment.insert(services::PID_DIR.to_owned(), dir.to_string_lossy().into_owned());
    }
    if args.dev {
        environment.insert(services::DEV.to_owned(), "1".to_owned());
    }
    if args.replace {
        replace(ctx, wanted, control).await?;
    }
    control.load(&wanted.path, &environment).await?;
    let follow = Follow::begin(control).await?;
    let since = crate::clock::now();
    control.start(&wanted.ids, Some(&wanted.path), &environment).await?;
    Ok((follow, since))
}

/// `--replace`: what runs of these services ends first, tracked or not.
async fn replace(ctx: &Context<'_>, wanted: &Wanted, control: &Control) -> Result<(), Error> {
    let known: Vec<ServiceId> = control.list(&[], None, false).await?.into_iter().map(|report| report.id).collect();
    let running: Vec<ServiceId> = wanted.ids.iter().filter(|id| known.contains(id)).cloned().collect();
    if !running.is_empty() {
        let mut follow = Follow::begin(control).await?;
        control.stop(&running, None, false).await?;
        if let Ended::Failed(report) = follow.until(&running, Goal::Down, None, |_| ()).await? {
            return Err(Error::Act(crate::act::ActError::Failed(crate::act::why_not_down(&report))));
        }
    }
    let left = control.orphans(&[]).await?;
    let ours = |orphan: &&crate::supervise::Orphan| {
        orphan.orphan && orphan.marked && orphan.service.as_ref().is_some_and(|id| wanted.ids.contains(id))
    };
    let count = left.iter().filter(ours).count();
    if count > 0 {
        let cleaned = control.clean_orphans(&[], false).await?;
        ctx.say.note(&format!("provost: {}", crate::text::escape(&cleaned.message)));
    }
    Ok(())
}

/// `--detach`: returns when all are ready, or with the first that is not.
async fn detached(ctx: &Context<'_>, args: &Up, wanted: &Wanted, control: &Control) -> Result<ExitCode, Error> {
    let line = Line::new(ctx.quiet());
    let (mut follow, since) = start(ctx, args, wanted, control).await?;
    let mut ready = BTreeSet::new();
    let is_wanted = |one: &&ServiceId| wanted.ids.iter().any(|id| services::matches(id, one));
    let all: Vec<&ServiceId> = wanted.project.services.iter().map(|spec| &spec.id).filter(is_wanted).collect();
    let count = all.len();
    let work = line.while_waiting(follow.until(&wanted.ids, Goal::Ready, args.timeout, |event: &Event| {
        note_ready(&mut ready, &all, event);
        line.say(format!("{} of {count} ready; {}: {}", ready.len(), event.id, event.message));
    }));
    let ended = tokio::select! {
        ended = work => ended?,
        never = note_late(ctx, control, &wanted.ids, &line) => match never {},
    };
    match ended {
        Ended::Reached(reports) => {
            said(ctx, &in_order(reports, &wanted.ids));
            Ok(Exit::Done.into())
        }
        Ended::Failed(report) => fail::not_ready(ctx, &report, None, since).await,
        Ended::TimedOut(report) => fail::not_ready(ctx, &report, args.timeout, since).await,
    }
}

/// How long nothing is said where there is no line that changes.
const LATE: Duration = Duration::from_secs(3);

/// Says once what takes long, where no line on a terminal does.
async fn note_late(ctx: &Context<'_>, control: &Control, ids: &[ServiceId], line: &Line) -> std::convert::Infallible {
    tokio::time::sleep(LATE).await;
    if !line.is_shown() {
        for report in control.list(ids, None, false).await.unwrap_or_default().iter().filter(|report| !report.ready) {
            let why = report.reason.as_deref().map(|why| format!(": {}", crate::text::escape(why)));
            ctx.say.note(&format!("{} is {}{}", report.id, report.state, why.unwrap_or_default()));
        }
    }
    std::future::pending().await
}

/// Which of these are ready, after this event. One may be started again meanwhile.
fn note_ready(ready: &mut BTreeSet<ServiceId>, all: &[&ServiceId], event: &Event) {
    match event.kind {
        EventKind::Ready | EventKind::State { to: ServiceState::Done, .. } if all.contains(&&event.id) => {
            ready.insert(event.id.clone());
        }
        EventKind::State { to, .. } if to != ServiceState::Running => {
            ready.remove(&event.id);
        }
        _ => {}
    }
}

/// As the config has them.
fn in_order(mut reports: Vec<ServiceReport>, ids: &[ServiceId]) -> Vec<ServiceReport> {
    reports.arrange_by_key(|report| ids.iter().position(|id| *id == report.id));
    reports
}

/// The reports of what was started.
pub(super) fn said(ctx: &Context<'_>, reports: &[ServiceReport]) {
    if ctx.say.json {
        ctx.say.json(&serde_json::json!({ "services": reports }));
        return;
    }
    for report in reports {
        ctx.say.text(&format!("{}\n", render::services::status_line(report)));
        for warning in &report.warnings {
            ctx.say.note(&format!("  {}: {}", report.id, crate::text::escape(warning)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, LoadOptions};
    use std::path::Path;

    #[test]
    fn what_starts_before_is_watched_too() {
        let text = "[service.db]\ncommand = ['x']\ninstances = 2\n[service.web]\ncommand = ['x']\nafter = ['db']\n\
                    [service.top]\ncommand = ['x']\nafter = ['web']\n";
        let path = Path::new("/p/provost.toml");
        let project = config::parse(path, path, text, &LoadOptions::default()).unwrap();
        let wanted = Wanted { path: path.to_owned(), project, ids: vec!["top".parse().unwrap()] };
        let ids: Vec<String> = wanted.watched().iter().map(ToString::to_string).collect();
        assert_eq!(ids, ["top", "web", "db-1", "db-2"]);
    }

    #[test]
    fn what_another_config_has_is_not_promised() {
        let text = "[service.both]\ncommand = ['x']\n[service.web]\ncommand = ['x']\ninstances = 2\n";
        let path = Path::new("/b/provost.toml");
        let project = config::parse(path, path, text, &LoadOptions::default()).unwrap();
        let other = tempfile::NamedTempFile::new().unwrap();
        let known = |id: &str, project: &Path| {
            let mut spec =
                crate::model::service::ServiceSpec::new(id.parse().unwrap(), vec!["x".to_owned()], "/".into());
            spec.project = Some(project.to_owned());
            services::of_spec(&spec)
        };
        let wanted = Wanted { path: path.to_owned(), project, ids: Vec::new() };
        for (id, project, refused) in [
            ("both", other.path(), Some("both is in /b/provost.toml and in ")),
            ("web", other.path(), Some("web is in ")),
            ("both", path, None),
            ("both", Path::new("/gone/provost.toml"), None),
            ("other", other.path(), None),
        ] {
            let why = wanted.is_in_two(&[known(id, project)]);
            assert!(why.is_some() == refused.is_some(), "{id}: {why:?}");
            assert!(why.is_none_or(|why| why.starts_with(refused.unwrap_or_default())), "{id}");
        }
    }

    #[test]
    fn one_that_is_started_again_is_ready_once() {
        let event = |id: &str, kind: EventKind| {
            let (id, at, seq, message) = (id.parse().unwrap(), String::new(), 0, String::new());
            Event { seq, at, id, kind, message }
        };
        let to = |to| EventKind::State { from: ServiceState::Running, to, pid: None };
        let ids: Vec<ServiceId> = vec!["a".parse().unwrap(), "b".parse().unwrap()];
        let all: Vec<&ServiceId> = ids.iter().collect();
        let mut ready = BTreeSet::new();
        let mut counts = Vec::new();
        for (id, kind) in [
            ("a", EventKind::Ready),
            ("other", EventKind::Ready),
            ("a", to(ServiceState::Stopping)),
            ("a", EventKind::Ready),
            ("a", EventKind::Ready),
            ("b", to(ServiceState::Done)),
        ] {
            note_ready(&mut ready, &all, &event(id, kind));
            counts.push(ready.len());
        }
        assert_eq!(counts, [1, 1, 0, 1, 1, 2]);
    }
}
