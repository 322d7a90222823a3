"""Fetches what others have made: Debian's packages and the compiler's components."""

import os
import shutil
import subprocess

from .workshop import Trouble

LOADERS = ("nginx", "nghttp2-client", "openssl", "wrk")  # what training needs


def debian(*names):
    """Installs packages of Debian."""
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    run([*apt, "update"])
    run([*apt, "install", "--no-install-recommends", *names])


def llvm_tools(folder):
    """The component with llvm-profdata, for the compiler that this folder is built with."""
    if shutil.which("rustup"):
        run(["rustup", "component", "add", "llvm-tools"], cwd=folder)


def run(command, **more):
    """A command that must succeed."""
    if subprocess.run(command, check=False, **more).returncode:
        raise Trouble(f"{' '.join(map(str, command))} failed")
