//! `gpus`: each GPU's memory, and who holds it.

use std::process::ExitCode;

use super::super::args::Gpus;
use super::super::exit::Exit;
use super::super::render::{self, ACCENT, DIM};
use super::Context;
use crate::model::{Gpu, GpuHolder, Verdict};
use crate::text::{clip_to, escape};

pub(in crate::cli) async fn run(ctx: &Context<'_>, args: &Gpus) -> ExitCode {
    let report = match crate::gpus::gpus(ctx.client, args.nvml.as_deref()).await {
        Ok(report) => report,
        Err(error) => return ctx.say.error(&error),
    };
    if ctx.say.json {
        ctx.say.json(&report);
    } else if let Some(missing) = &report.missing {
        ctx.say.text(&format!("no GPU: {}\n", escape(missing)));
    } else {
        ctx.say.text(&report.gpus.iter().map(gpu).collect::<String>());
    }
    if report.missing.is_some() { Exit::Not.into() } else { Exit::Done.into() }
}

fn gpu(gpu: &Gpu) -> String {
    let name = escape(gpu.name.as_deref().unwrap_or("a GPU"));
    let memory = match (gpu.memory_used, gpu.memory_total, gpu.memory_free) {
        (Some(used), Some(total), Some(free)) => {
            format!("{} of {} in use, {} free", size(used), size(total), size(free))
        }
        _ => "its memory is not known".to_owned(),
    };
    let mut out = format!("{ACCENT}{}{ACCENT:#}  {name}: {memory}\n", escape(&gpu.id));
    for note in &gpu.notes {
        out.push_str(&format!("   {DIM}{}{DIM:#}\n", escape(note)));
    }
    if gpu.holders.is_empty() {
        return out;
    }
    let heads = ["   PID", "MEMORY", "COMMAND", "USER", "OWNER", "STOP"].map(str::to_owned);
    let rows: Vec<[String; 6]> = [heads].into_iter().chain(gpu.holders.iter().map(row)).collect();
    out.push_str(&render::rows(&rows, DIM));
    out
}

fn row(holder: &GpuHolder) -> [String; 6] {
    let or = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), |text| clip_to(text, 40));
    let stop = match (holder.means, holder.verdict) {
        (Some(means), Some(Verdict::Allowed)) => format!("{means}"),
        (Some(means), Some(Verdict::NeedsPassword)) => format!("{means}, with a password"),
        (Some(means), Some(Verdict::UnknownUntilAsked)) => format!("{means}, if it is allowed"),
        (Some(_), Some(Verdict::Denied)) => "denied".to_owned(),
        _ => "-".to_owned(),
    };
    [
        format!("   {}", holder.pid),
        holder.memory.map_or_else(|| "-".to_owned(), size),
        or(holder.command.as_deref()),
        or(holder.user.as_deref()),
        or(holder.owner.as_deref()),
        stop,
    ]
}

/// As people read it: GiB with one decimal, smaller ones in MiB.
fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib >= 1024 { format!("{:.1} GiB", mib as f64 / 1024.0) } else { format!("{mib} MiB") }
}
