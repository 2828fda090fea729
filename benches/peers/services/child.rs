//! The child of all tools: so small that its own start does not count.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::Result;

const SOURCE: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec now;
    char line[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(line, sizeof line, "%d %lld\n", getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    int file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (write(file, line, n) != n) return 1;
    close(file);
    for (;;) pause();
}
"#;

/// Where it is in the rig.
pub const IN_RIG: &str = "/usr/local/bin/bench-child";

/// Compiles it.
pub fn build(dir: &Path) -> Result<PathBuf> {
    let (source, program) = (dir.join("child.c"), dir.join("bench-child"));
    std::fs::write(&source, SOURCE)?;
    let compile = |flags: &[&str]| Command::new("cc").args(flags).arg("-o").args([&program, &source]).status();
    if !compile(&["-O2", "-static"])?.success() && !compile(&["-O2"])?.success() {
        return Err("cc cannot compile the child".into());
    }
    Ok(program)
}
