//! stub
use super::ProcFs;
use crate::model::Process;
pub(super) fn served(_proc: &ProcFs, _p: &Process, _addr: std::net::SocketAddr) -> Option<u32> {
    None
}
