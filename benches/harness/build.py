"""Builds what is compared, and refuses to compare two builds that differ in more than the gate."""

import os
import pathlib
import shutil
import subprocess
import tomllib

from .workshop import Trouble

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARE = ROOT / "benches/bare"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", pathlib.Path.home() / ".cache/portcullis-target"))


def portcullis():
    """The release binary of the gateway."""
    cargo(ROOT, TARGET, "--bin", "portcullis")
    return TARGET / "release/portcullis"


def bare():
    """The pass-through, on the same versions of everything and the same profile."""
    if profile(ROOT) != profile(BARE):
        raise Trouble("benches/bare/Cargo.toml and Cargo.toml have different release profiles")
    # Cargo keeps the versions it finds in a lock file and drops the packages that nobody asks for.
    shutil.copyfile(ROOT / "Cargo.lock", BARE / "Cargo.lock")
    cargo(BARE, TARGET / "bench-bare")
    ours, theirs = pingora(ROOT), pingora(BARE)
    if ours != theirs:
        raise Trouble(f"Pingora is {ours} in the gateway and {theirs} in benches/bare")
    return TARGET / "bench-bare/release/bare"


def talk():
    """Both ends of the WebSocket row, built with the pass-through."""
    return bare().with_name("talk")


def cargo(folder, target, *words):
    """A release build; Cargo's own progress stays on the screen."""
    command = ["cargo", "build", "--release", "--manifest-path", folder / "Cargo.toml", *words]
    if subprocess.run(command, env=os.environ | {"CARGO_TARGET_DIR": str(target)}, check=False).returncode:
        raise Trouble(f"{folder} does not build")


def profile(folder):
    """The release profile of a package."""
    return tomllib.loads((folder / "Cargo.toml").read_text())["profile"]["release"]


def pingora(folder):
    """The locked version of Pingora."""
    packages = tomllib.loads((folder / "Cargo.lock").read_text())["package"]
    return next((package["version"] for package in packages if package["name"] == "pingora-core"), None)
