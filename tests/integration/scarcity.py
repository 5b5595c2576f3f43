"""Too little of something, by the kernel's own word: a disk without room, a process without memory.

Where the test may mount a file system or make a memory cgroup (root with the rights for it), that is done. Elsewhere
limits of the process stand in: they need no rights, and the kernel refuses or kills all the same.
"""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from shared.run_folder import RunFolder

ROOM_FOR_NO_CHECKPOINT: Final = 100 << 20
"""Bytes: a ResNet18's weights take 45 MB, its checkpoint four times that."""

HARDLY_ANY_MEMORY: Final = 4 << 20
"""Bytes: a training that is held to this dies at its next step."""


class MountedDisk:
    """A file system of its own in memory, whose size follows what is used of it."""

    def __init__(self, folder: Path) -> None:
        """Mount it. Raises OSError without the right to."""
        self.runs = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=2g", "halfface-test")

    def leave_room_for_no_checkpoint(self, horse: psutil.Process) -> None:
        """Leave room for all that a run writes but checkpoints. `horse`, which writes there, is suspended."""
        self._leave(ROOM_FOR_NO_CHECKPOINT)

    def leave_no_room(self, run: RunFolder) -> None:
        """Leave no room at all; who writes there is suspended."""
        self._leave(0)

    def make_room(self, run: RunFolder) -> None:
        """Leave plenty."""
        self._mount("-o", "remount,size=2g")

    def unmount(self) -> None:
        """Take it away with all that is on it."""
        subprocess.run(["umount", "-l", self.runs], check=True)

    def _leave(self, room_bytes: int) -> None:
        self._mount("-o", f"remount,size={shutil.disk_usage(self.runs).used + room_bytes}")

    def _mount(self, *words: str) -> None:
        done = subprocess.run(["mount", *words, self.runs], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())


class Limits:
    """In place of a small disk: no file may be as large as a checkpoint; then the file of epochs is /dev/full."""

    def __init__(self, folder: Path) -> None:
        self.runs = folder

    def leave_room_for_no_checkpoint(self, horse: psutil.Process) -> None:
        """As `MountedDisk` does."""
        resource.prlimit(horse.pid, resource.RLIMIT_FSIZE, (ROOM_FOR_NO_CHECKPOINT, resource.RLIM_INFINITY))

    def leave_no_room(self, run: RunFolder) -> None:
        """As `MountedDisk` does, for one file."""
        assert len(run.metrics()) < run.request().request.settings.epochs, "no epoch is left in which it could fail"
        (run.path / "metrics.jsonl").rename(run.path / "kept.jsonl")
        (run.path / "metrics.jsonl").symlink_to("/dev/full")

    def make_room(self, run: RunFolder) -> None:
        """Put the file back; the limit died with the process."""
        (run.path / "kept.jsonl").replace(run.path / "metrics.jsonl")


class OutOfMemory:
    """Has the kernel kill processes for want of memory, in a cgroup that hardly holds any; counts them."""

    def __init__(self, group: Path, limit: str, events: str) -> None:
        """Make the group. Raises OSError where there is no such controller, or no right to use it."""
        self._group, self._events = group, events
        group.mkdir()
        try:
            with (group / limit).open("r+") as file:  # the kernel has made it, or it is no cgroup
                file.write(str(HARDLY_ANY_MEMORY))
        except OSError:
            group.rmdir()
            raise

    def kill(self, process: psutil.Process) -> None:
        """Put a process there: what it has is another group's, what it asks for from now on is this one's."""
        before = self.killed()
        (self._group / "cgroup.procs").write_text(str(process.pid))
        _wait_for_the_end_of(process)
        assert self.killed() == before + 1

    def killed(self) -> int:
        """Return how many processes of the group the kernel has killed."""
        words = dict(line.split() for line in (self._group / self._events).read_text().splitlines())
        return int(words["oom_kill"])

    def close(self) -> None:
        """Remove the group."""
        self._group.rmdir()


class OutOfTime:
    """In place of `OutOfMemory`, has the kernel kill processes with SIGKILL at a limit that they have passed."""

    def kill(self, process: psutil.Process) -> None:
        """Allow a process one second of the CPU in all."""
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (1, 1))
        _wait_for_the_end_of(process)


def _wait_for_the_end_of(process: psutil.Process) -> None:
    _, alive = psutil.wait_procs([process], timeout=60)
    assert not alive


@contextmanager
def killer() -> Iterator[OutOfMemory | OutOfTime]:
    """Make what has the kernel kill a process: for want of memory where that can be had."""
    name, root = f"halfface-test-{os.getpid()}", Path("/sys/fs/cgroup")
    for group, limit, events in (
        (root / name, "memory.max", "memory.events"),
        (root / "memory" / name, "memory.limit_in_bytes", "memory.oom_control"),
    ):
        with contextlib.suppress(OSError):
            out_of_memory = OutOfMemory(group, limit, events)
            break
    else:
        yield OutOfTime()
        return
    try:
        yield out_of_memory
    finally:
        out_of_memory.close()
