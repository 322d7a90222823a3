"""Builds what is compared, and refuses to compare two builds that differ in more than the gate."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

from . import training
from .workshop import Trouble

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARE = ROOT / "benches/bare"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path.home() / ".cache/portcullis-target"))


def portcullis(trained=True):
    """The gateway: as it is shipped, or as `cargo build --release` alone makes it."""
    return program(ROOT, TARGET, "portcullis", training.gateway if trained else None)


def bare(trained=True):
    """The pass-through, on the same versions of everything, the same profile and trained in the same way."""
    if profile(ROOT) != profile(BARE):
        raise Trouble("benches/bare/Cargo.toml and Cargo.toml have different release profiles")
    # Cargo keeps the versions it finds in a lock file and drops the packages that nobody asks for.
    shutil.copyfile(ROOT / "Cargo.lock", BARE / "Cargo.lock")
    ours, theirs = pingora(ROOT), pingora(BARE)
    if ours != theirs:
        raise Trouble(f"Pingora is {ours} in the gateway and {theirs} in benches/bare")
    return program(BARE, TARGET / "bench-bare", "bare", training.bare if trained else None)


def talk():
    """Both ends of the WebSocket rows, which load others and are not measured."""
    shutil.copyfile(ROOT / "Cargo.lock", BARE / "Cargo.lock")
    return program(BARE, TARGET / "bench-bare", "talk")


def program(folder, target, name, practise=None):
    """A release build of one binary; with `practise`, laid out by how an instrumented copy of it ran.

    This is profile-guided optimization as chapter "Profile-guided Optimization" of the rustc book has it: what ran often is
    placed together and inlined, what never ran is put out of the way. `practise(binary, talk)` loads the copy.
    """
    if practise is None:
        cargo(folder, target, "--bin", name)
        return target / "release" / name
    runs = target / "runs"
    copy = flagged(folder, target / "instrumented", name, f"-Cprofile-generate={runs}")
    # Cargo looks at flags, and not into the files they name: a profile of another copy, or another load, has another name.
    known = hashlib.sha256(copy.read_bytes() + pathlib.Path(training.__file__).read_bytes())
    found = target / f"{known.hexdigest()[:16]}.profdata"
    if not found.exists():
        shutil.rmtree(runs, ignore_errors=True)
        practise(copy, talk())
        merge(runs, found)
    return flagged(folder, target / "trained", name, f"-Cprofile-use={found}")


def merge(runs, into):
    """One profile of all runs. The tool must be the compiler's own version, and comes as one of its components."""
    if not any(runs.glob("*.profraw")):
        raise Trouble(f"no instrumented program left a profile in {runs}")
    half = into.with_suffix(".half")
    if subprocess.run([profdata(), "merge", "--output", half, runs], check=False).returncode:
        raise Trouble("the profiles cannot be merged")
    for old in into.parent.glob("*.profdata"):
        old.unlink()
    half.rename(into)


def profdata():
    """The compiler's own llvm-profdata, from which it can be told whether programs can be trained here."""
    root = pathlib.Path(rustc("--print", "sysroot").strip())
    tool = root / f"lib/rustlib/{host()}/bin/llvm-profdata"
    if not tool.exists():
        raise Trouble("training needs the compiler's own llvm-profdata: rustup component add llvm-tools")
    return tool


def host():
    """The platform that programs are built for."""
    return re.search(r"^host: (\S+)$", rustc("-vV"), re.MULTILINE)[1]


def rustc(*words):
    """What the compiler says of itself."""
    return subprocess.run(["rustc", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def flagged(folder, target, name, flag):
    """A build with one more flag for the compiler. The platform is named, so that build scripts go without the flag."""
    flags = "\x1f".join([*os.environ.get("RUSTFLAGS", "").split(), flag])  # so that paths may hold spaces
    cargo(folder, target, "--bin", name, "--target", host(), CARGO_ENCODED_RUSTFLAGS=flags)
    return target / host() / "release" / name


def cargo(folder, target, *words, **environment):
    """A release build; Cargo's own progress stays on the screen."""
    # The gateway's lock file is kept; the pass-through's is a copy with more in it than it needs.
    locked = ["--locked"] if folder == ROOT else []
    command = ["cargo", "build", "--release", *locked, "--manifest-path", folder / "Cargo.toml", *words]
    environment |= {"CARGO_TARGET_DIR": str(target)}
    if subprocess.run(command, env=os.environ | environment, check=False).returncode:
        raise Trouble(f"{folder} does not build")


def profile(folder):
    """The release profile of a package."""
    return tomllib.loads((folder / "Cargo.toml").read_text())["profile"]["release"]


def pingora(folder):
    """The locked version of Pingora."""
    packages = tomllib.loads((folder / "Cargo.lock").read_text())["package"]
    return next((package["version"] for package in packages if package["name"] == "pingora-core"), None)
