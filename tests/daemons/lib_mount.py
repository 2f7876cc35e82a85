"""File systems of a test's own. They need root; without it a test fails and says so, unless NO_MOUNT=1 allows it to
be left out (exit code 0, one line)."""
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

from lib_daemons import BUILD


def need_root(what):
    if os.geteuid() == 0:
        return
    if os.environ.get("NO_MOUNT") == "1":
        print(f"left out: {what} needs root")
        sys.exit(0)
    sys.exit(f"{what} needs root to mount a file system; NO_MOUNT=1 leaves it out")


def sh(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


def unmount(path):
    subprocess.run(["umount", str(path)], check=False, capture_output=True)


@contextlib.contextmanager
def mounted(*how):
    """mount HOW... on a fresh folder."""
    (BUILD / "tests").mkdir(exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mount-", dir=BUILD / "tests"))
    try:
        sh("mount", *how, folder)
        try:
            yield folder
        finally:
            unmount(folder)
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()
