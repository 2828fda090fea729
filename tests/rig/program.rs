//! Programs that are put somewhere and executed at once.
//!
//! A file that is open for writing is not executed (ETXTBSY), and whatever another thread starts meanwhile holds all
//! descriptors of this process until it is its own program. So it is another process that writes such files. The library's tests have
//! this file, too.

use std::fs::File;
use std::io::{Error, Result, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};

/// Copies a program; what is there gives way.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let program = File::open(from).map_err(|e| Error::other(format!("{}: {e}", from.display())))?;
    put(program, to, 0o755)
}

/// Writes a script; what is there gives way.
pub fn write(content: impl AsRef<[u8]>, to: &Path, mode: u32) -> Result<()> {
    let mut file = File::from(memfd_create("script", MemfdFlags::CLOEXEC)?);
    file.write_all(content.as_ref())?;
    file.rewind()?;
    put(file, to, mode)
}

fn put(from: File, to: &Path, mode: u32) -> Result<()> {
    let mut install = Command::new("install");
    install.arg(format!("--mode={mode:o}")).args(["--", "/dev/stdin"]).arg(to);
    let done = install.stdin(from).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    match done.status.success() {
        true => Ok(()),
        false => Err(Error::other(format!("{}: {}", to.display(), String::from_utf8_lossy(&done.stderr)))),
    }
}
