//! What provost starts and supervises itself, and the daemon that does it.

mod backend;
mod bus;
mod daemon;
mod hosted;
mod kept;
mod managers;
mod rubbish;
mod unit;
mod verbs;

use crate::trial::Trials;

pub fn register(trials: &mut Trials) {
    backend::register(trials);
    bus::register(trials);
    daemon::register(trials);
    kept::register(trials);
    managers::register(trials);
    rubbish::register(trials);
    unit::register(trials);
    verbs::register(trials);
}
