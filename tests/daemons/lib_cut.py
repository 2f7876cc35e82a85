"""Power cuts: an ext4 image on a loop device whose backing file lies on a second one. That one is frozen while the
file is copied, so the copy is the disk of one moment, whatever the page cache held, in the middle of the load."""
import contextlib
import shutil
import subprocess
import tempfile
import uuid

from lib_daemons import BUILD
from lib_mount import mounted, sh


@contextlib.contextmanager
def workplace():
    """A folder of the test's own, removed behind it."""
    (BUILD / "tests").mkdir(exist_ok=True)
    home = tempfile.mkdtemp(prefix="cut-", dir=BUILD / "tests")
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def make_disk(path, megabytes):
    with open(path, "wb") as f:
        f.truncate(megabytes << 20)
    sh("mkfs.ext4", "-q", "-F", path)
    return path


@contextlib.contextmanager
def disk(home):
    """(where the daemons' files go, a function that copies that disk as it is now to a path)"""
    with mounted("-o", "loop", make_disk(f"{home}/under.img", 600)) as under:
        image = make_disk(f"{under}/disk.img", 400)
        with mounted("-o", "loop", image) as folder:
            def copy_to(path):
                sh("fsfreeze", "-f", under)
                try:
                    sh("cp", "--reflink=never", "--sparse=always", image, path)
                finally:
                    sh("fsfreeze", "-u", under)
            yield folder, copy_to


def another_boot(home):
    """A wrapper under which a program sees the machine started again."""
    with open(f"{home}/boot_id", "w") as f:
        f.write(f"{uuid.uuid4()}\n")
    return ["unshare", "-m", "sh", "-c",
            f'mount --bind "{home}/boot_id" /proc/sys/kernel/random/boot_id && exec "$@"', "sh"]


@contextlib.contextmanager
def started_again(copy):
    """The copy, mounted; behind it, it is checked that it was a file system of one moment."""
    with mounted("-o", "loop", copy) as folder:
        yield folder
    done = subprocess.run(["e2fsck", "-fn", copy], capture_output=True, text=True)
    assert done.returncode == 0, f"the copy is no file system of one moment: {done.stdout}"
