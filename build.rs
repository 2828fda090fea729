//! Options of the linker for the program, and what it holds compressed.

use std::io::Write as _;
use std::path::Path;

/// What is kept small in the program, and served.
const DOCUMENT: &str = "src/api/http/openapi/document.json";

#[expect(clippy::disallowed_methods, reason = "cargo speaks by variables")]
fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let said = |key: &str| std::env::var(key).unwrap_or_default();
    if said("CARGO_CFG_TARGET_ENV") == "gnu" && said("PROFILE") == "release" {
        // A program that lives for milliseconds: its 12,000 relocations as a bitmap (DT_RELR) are 0.3 MiB less to
        // read at each start. Whatever loads it must know them: glibc does since 2.36.
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // It aborts when it panics: only debuggers unwind it, and they need no table to search in.
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let small = std::fs::File::create(Path::new(&said("OUT_DIR")).join("openapi.json.gz"))?;
    let mut small = flate2::write::GzEncoder::new(small, flate2::Compression::best());
    small.write_all(&std::fs::read(DOCUMENT)?)?;
    small.finish()?.sync_all()
}
