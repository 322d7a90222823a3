//! The binary: parse arguments, run, exit code.

use std::process::ExitCode;

/// A fifth of the throughput lies in the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
