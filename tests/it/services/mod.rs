//! What provost starts and supervises itself, and the daemon that does it.

mod backend;
mod bus;
mod clock;
mod cut;
mod daemon;
mod flood;
mod hosted;
mod input;
mod kept;
mod managers;
mod rubbish;
mod system;
pub mod unit;
mod verbs;

use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    backend::register(trials);
    bus::register(trials);
    clock::register(trials);
    cut::register(trials);
    flood::register(trials);
    input::register(trials);
    daemon::register(trials);
    kept::register(trials);
    managers::register(trials);
    rubbish::register(trials);
    system::register(trials);
    unit::register(trials);
    verbs::register(trials);
}
