"""A page of docs/ that a reader follows line by line: its fenced blocks, and its commands run as written.

    page = Page("from-sendmail-and-dovecot.md", "desde-sendmail-y-dovecot.md")
    page.block("conf")                  the first block of that kind that was not taken yet
    page.run("smtpd -t")                one line of the `sh` blocks, by the shell; anything else is an error
    page.done()                         every block was taken and every command run

The further pages are translations: they must have the same blocks.
"""
import os
import pathlib
import pty
import re
import subprocess

from lib_daemons import SOURCE

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def answers(command, lines):
    """The command on a terminal of its own, with something typed at each question; (exit code, what the screen shows)."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/bin/sh", ["sh", "-c", command])
    shown = b""
    while True:
        try:
            got = os.read(terminal, 4096)
        except OSError: # the other end is closed
            break
        shown += got
        if shown.endswith(b": ") and lines:
            os.write(terminal, lines.pop(0).encode() + b"\n")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


class Page:
    def __init__(self, name, *translations):
        self.texts = {n: pathlib.Path(SOURCE, "docs", n).read_text() for n in (name, *translations)}
        blocks = {n: FENCE.findall(text) for n, text in self.texts.items()}
        for other in translations:
            assert blocks[other] == blocks[name], f"docs/{other} has other blocks than docs/{name}"
        self.blocks = [(kind, text) for kind, text in blocks[name] if kind != "sh"]
        self.commands = [line for kind, text in blocks[name] if kind == "sh" for line in text.splitlines()]
        self.left = set(self.commands)

    def block(self, kind):
        at = next(i for i, block in enumerate(self.blocks) if block[0] == kind)
        return self.blocks.pop(at)[1]

    def run(self, command, code=0, typed=()):
        """What it says, both streams."""
        assert command in self.commands, f"no command of the page: {command}"
        self.left.discard(command)
        if typed:
            got, said = answers(command, list(typed))
        else:
            done = subprocess.run(command, shell=True, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=60)
            got, said = done.returncode, done.stdout
        assert got == code, f"{command}: exit code {got}, not {code}: {said}"
        return said

    def tells(self, text):
        """In every language."""
        for name, page in self.texts.items():
            assert text in page, f"docs/{name} does not have: {text}"

    def done(self):
        assert not self.left, f"never run: {sorted(self.left)}"
        assert not self.blocks, f"never looked at: {self.blocks}"
