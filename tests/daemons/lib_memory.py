"""The highest anonymous memory of the daemons while something runs, above what they had before.

    with Peak(d) as peak: ...
    peak.above("imapd")      KiB
"""
import threading
import time

from lib_daemons import sanitized


class Peak:
    def __init__(self, d, names=("smtpd", "imapd", "pop3d")):
        self.d, self.names = d, names
        self.before, self.top = {}, {}
        self.stop = threading.Event()

    def look(self):
        for n in self.names:
            self.top[n] = max(self.top[n], self.d.memory(n))

    def poll(self):
        while not self.stop.is_set():
            self.look()
            time.sleep(0.005)

    def __enter__(self):
        self.before = {n: self.d.memory(n) for n in self.names}
        self.top = dict(self.before)
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.look()

    def above(self, name):
        return self.top[name] - self.before[name]

    def check(self, limit_kib, what):
        for n in self.names:
            print(f"{what}: {n} {self.before[n]} KiB idle, {self.above(n)} KiB above it at most")
            assert sanitized() or self.above(n) < limit_kib, f"{what}: {n} took {self.above(n)} KiB"
