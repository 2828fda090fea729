//! NVIDIA's cards, by the driver's own library, which is loaded when it is asked.

use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use super::Card;

/// The cards; else one line about what is missing.
pub(super) fn cards(library: Option<&Path>) -> Result<Vec<Card>, String> {
    let nvml = load(library)?;
    let count = nvml.device_count().map_err(|error| format!("the NVIDIA driver does not count its GPUs: {error}"))?;
    Ok((0..count).map(|number| card(&nvml, number)).collect())
}

fn load(library: Option<&Path>) -> Result<Nvml, String> {
    let places = library.map_or_else(super::places, |path| vec![path.to_owned()]);
    let mut found = None;
    for place in &places {
        match Nvml::builder().lib_path(place.as_os_str()).init() {
            Ok(nvml) => return Ok(nvml),
            Err(error @ NvmlError::LibloadingError(_)) => found = found.or(Some(error)),
            // It is there, and its driver is not.
            Err(error) => return Err(unready(&error)),
        }
    }
    let why = found.map(|error| source(&error)).unwrap_or_default();
    Err(match library {
        Some(path) => format!("{} cannot be loaded: {why}", path.display()),
        None => "libnvidia-ml.so.1 is not here: GPUs of NVIDIA are listed through it, and it comes with their driver \
             (elsewhere: provost gpus --library FILE)"
            .to_owned(),
    })
}

fn source(error: &NvmlError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn unready(error: &NvmlError) -> String {
    match error {
        NvmlError::DriverNotLoaded => "the NVIDIA driver is not loaded: modprobe nvidia".to_owned(),
        NvmlError::NoPermission => "you may not ask the NVIDIA driver: see the rights of /dev/nvidia*".to_owned(),
        NvmlError::LibRmVersionMismatch => {
            "the NVIDIA driver and its library are of two versions, as after an upgrade: reboot".to_owned()
        }
        error => format!("the NVIDIA driver cannot be asked: {error}"),
    }
}

fn card(nvml: &Nvml, number: u32) -> Card {
    let mut card = Card { id: number.to_string(), ..Card::default() };
    let device = match nvml.device_by_index(number) {
        Ok(device) => device,
        Err(error) => {
            card.notes.push(format!("it cannot be asked: {error}"));
            return card;
        }
    };
    card.uuid = device.uuid().ok();
    card.name = device.name().ok();
    match device.memory_info() {
        Ok(memory) => card.memory = Some((memory.total, memory.used, memory.free)),
        Err(error) => card.notes.push(format!("its memory cannot be read: {error}")),
    }
    for (what, found) in
        [("computing", device.running_compute_processes()), ("drawing", device.running_graphics_processes())]
    {
        match found {
            Ok(found) => found.iter().for_each(|process| add(&mut card, process)),
            Err(error) => card.notes.push(format!("who uses it for {what} cannot be read: {error}")),
        }
    }
    card
}

/// A process that computes and draws is there twice, with the same memory.
fn add(card: &mut Card, process: &ProcessInfo) {
    let memory = match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    let known = card.holders.entry(process.pid).or_default();
    *known = (*known).max(memory);
}
