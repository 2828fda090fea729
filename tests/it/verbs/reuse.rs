//! Pids that are used again: a signal meant for a process that has just died hits nobody else.
//!
//! [`driver`] is this program again, in a pid namespace of its own with so few pids that each comes again within
//! milliseconds. It plans with the library, lets the target die, lets others take its pid, and carries the plan out.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};

use provost::act::{ActError, Options};
use provost::model::{Action, Plan, Request, Step, Target};

use crate::rig::{Result, Rig, words};
use crate::trial::Trials;

/// The variable that makes this program the driver.
pub const ROLE: &str = "PROVOST_PID_REUSE";

const KILLS: u32 = 10_000;
/// So many pids live at the same time, of about a hundred.
const CROWD: usize = 70;
const STALE: usize = 40;

pub fn register(trials: &mut Trials) {
    trials.rig("reuse::pids", in_few_pids);
}

fn in_few_pids(rig: &Rig) -> Result<()> {
    rig.make_cgroup("/reuse")?;
    // pid_max is the namespace's own from Linux 6.14 on; before, nobody but the host may change it.
    let few = "(echo 400 >/proc/sys/kernel/pid_max) 2>/dev/null";
    let own = "test $(cat /proc/sys/kernel/pid_max) = 400 && test $(cat /proc/1/root/kernel-pid-max) != 400";
    rig.write("/kernel-pid-max", rig.read("/proc/sys/kernel/pid_max")?, 0o644)?;
    let script = format!("{few}; {own} || exit 77; /usr/local/bin/sleeper; exit $?");
    let argv = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", &script];
    let output = rig.as_root().in_unit("/reuse").env(ROLE, "1").run(argv)?;
    if output.code() == 77 {
        println!("reuse::pids: this kernel has no pid_max of its own for a pid namespace, so that nothing was shown");
        return Ok(());
    }
    print!("{}", output.stdout);
    output.ok().map(drop)
}

/// Runs in the namespace; fails if anybody was hit, or if no pid was used again.
pub fn driver() -> ExitCode {
    match drive() {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{}", words(&e));
            ExitCode::FAILURE
        }
    }
}

fn drive() -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(provost::Client::new())?;
    let mut crowd = Crowd::default();
    let mut stale: VecDeque<Plan> = VecDeque::new();
    let (mut reused, mut hit_at_all) = (0, 0);
    for n in 0..KILLS {
        // Not in step with the targets, which would take each other's pids.
        if n % 2 == 0 || n % 7 == 0 {
            crowd.turn_over()?;
        }
        if n % 8 == 0 {
            let action = if n % 16 == 0 { Action::Kill } else { Action::Stop };
            let plan = runtime.block_on(of_the_dead(&client, action))?;
            stale.push_back(if n % 32 < 16 { plan } else { without_inodes(plan) });
            if stale.len() > STALE {
                stale.pop_front();
            }
        }
        let plan = &stale[n as usize % stale.len()];
        reused += u32::from(crowd.has(pid_of(plan)));
        match runtime.block_on(client.act(plan, Options::default())) {
            // `stop` of what is gone has nothing to do, `kill` says so.
            Ok(done) if done.outcome == provost::act::Outcome::Unchanged => {}
            Err(ActError::Gone(_)) => {}
            other => {
                hit_at_all += 1;
                eprintln!("{other:?}");
            }
        }
    }
    crowd.finish()?;
    let said = format!("{KILLS} kills of the dead, of whose pids {reused} were used again: {} hit", crowd.hit);
    let good = crowd.hit == 0 && hit_at_all == 0 && reused > KILLS / 10;
    if good { Ok(said) } else { Err(format!("{said}; {hit_at_all} were said to be done").into()) }
}

/// A plan for a process that has died since.
async fn of_the_dead(client: &provost::Client, action: Action) -> Result<Plan> {
    let mut target = bystander()?;
    let request = Request::new(action);
    let plans = client.plan(&Target::Pid(target.id()), &request, false).await?;
    let [(_, plan)] = plans.as_slice() else { return Err(format!("{plans:?}").into()) };
    if pid_of(plan) != target.id() {
        return Err(format!("it would not signal {}: {plan:?}", target.id()).into());
    }
    target.kill()?;
    target.wait()?;
    Ok(plan.clone())
}

/// The plan as it would be before Linux 6.9, where start times alone tell processes apart.
fn without_inodes(mut plan: Plan) -> Plan {
    for step in &mut plan.steps {
        if let Step::Signal { processes, .. } | Step::End { processes, .. } = step {
            processes.iter_mut().for_each(|aim| aim.identity.pidfd_inode = None);
        }
    }
    plan
}

fn pid_of(plan: &Plan) -> u32 {
    match plan.steps.first() {
        Some(Step::Signal { processes, .. } | Step::End { processes, .. }) => {
            processes.first().map_or(0, |aim| aim.identity.pid)
        }
        _ => 0,
    }
}

fn bystander() -> Result<Child> {
    Ok(Command::new("/bin/sleep").arg("60").stdin(Stdio::null()).spawn()?)
}

/// Processes that come and go; the signal that provost would send is not the one that ends them.
#[derive(Default)]
struct Crowd {
    members: VecDeque<Child>,
    hit: u32,
}

impl Crowd {
    fn turn_over(&mut self) -> Result<()> {
        self.members.push_back(bystander()?);
        if self.members.len() > CROWD { self.end_one() } else { Ok(()) }
    }

    fn end_one(&mut self) -> Result<()> {
        let Some(mut oldest) = self.members.pop_front() else { return Ok(()) };
        oldest.kill()?;
        let status = oldest.wait()?;
        self.hit += u32::from(status.signal() != Some(9));
        Ok(())
    }

    fn has(&self, pid: u32) -> bool {
        self.members.iter().any(|m| m.id() == pid)
    }

    fn finish(&mut self) -> Result<()> {
        while !self.members.is_empty() {
            self.end_one()?;
        }
        Ok(())
    }
}
