"""The disk of the queue gets full while mail is relayed: refused in time with 452, nothing lost that was answered, what
waits goes out as it can, and mail is taken again when there is room; by itself, and after a kill on the full disk."""
import re
import smtplib
import threading
import time

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns
from lib_mount import mounted, need_root
from lib_relay import Peer

need_root("relay_full_disk")
PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
RECORDS = {"peer.test": {"MX": "10 mx.peer.test"}, "mx.peer.test": {"A": "127.0.0.91"}}


class Load:
    """Letters of some size to one domain, until told; answered: those with 250, refused: what else was said."""

    def __init__(self, d, prefix, octets):
        self.d, self.prefix, self.octets = d, prefix, octets
        self.answered, self.refused = [], []

    def send(self, count, threads=4):
        def some(k):
            with smtplib.SMTP("127.0.0.1", self.d.port["smtp"], timeout=30) as s:
                for n in range(count):
                    name = f"{self.prefix}t{k}n{n}"
                    try:
                        s.sendmail("alice@example.test", ["x@peer.test"],
                                   f"Message-ID: <{name}@t>\r\n\r\n" + "0123456789abcdef\r\n" * (self.octets // 18))
                        self.answered.append(name)
                    except smtplib.SMTPResponseException as e:
                        self.refused.append((e.smtp_code, e.smtp_error))
                        s.rset()
        all_threads = [threading.Thread(target=some, args=(k,)) for k in range(threads)]
        for t in all_threads:
            t.start()
        for t in all_threads:
            t.join()
        return self


def arrived(peer):
    return [re.search(rb"Message-ID: <(\w+)@t>", octets)[1].decode() for _, _, octets in list(peer.mails)]


def whole(peer, octets):
    """No letter is cut short."""
    for _, _, text in peer.mails:
        assert len(text.split(b"\r\n\r\n", 1)[1]) == octets // 18 * 18, len(text)


def fill(folder):
    """Take every block that is left, behind the server's back."""
    with open(folder / "ballast", "ab", buffering=0) as f:
        try:
            while True:
                f.write(b"\0" * 4096)
        except OSError:
            pass


def grows_full(d, peer, gate):
    """Nothing goes out while the peer is busy, so the queue grows until the reserve is reached."""
    load = Load(d, "a", 100_000).send(100)
    assert load.answered and load.refused and {code for code, _ in load.refused} == {452}, load.refused[:3]
    assert not peer.mails
    gate.set()
    wait_for(lambda: set(arrived(peer)) == set(load.answered), 60, "all that was answered")
    assert len(arrived(peer)) == len(load.answered), "twice"
    more = Load(d, "b", 100_000).send(2)
    assert not more.refused, "there is room again"
    wait_for(lambda: set(arrived(peer)) == set(load.answered + more.answered), 60, "what came afterwards")
    whole(peer, 100_000)
    print(f"grows full: {len(load.answered)} taken, {len(load.refused)} refused")


def last_block(d, peer, gate, kill):
    """Not even the reserve is left, while mail comes and goes: what becomes of it cannot always be written down."""
    peer.mails.clear()
    gate.clear()
    load = Load(d, f"c{kill}", 20_000).send(20)
    assert not load.refused
    fill(d.data)
    refused = Load(d, f"d{kill}", 20_000).send(3)
    assert not refused.answered and {code for code, _ in refused.refused} <= {451, 452}, refused.refused
    gate.set()
    time.sleep(2)
    if kill:
        d.kill("smtpd")
        (d.data / "ballast").unlink()
        d.start("smtpd")
    else:
        (d.data / "ballast").unlink()
    more = Load(d, f"e{kill}", 20_000).send(2)
    assert not more.refused, more.refused
    wait_for(lambda: set(arrived(peer)) >= set(load.answered + more.answered), 60, "all that was answered")
    wait_for(lambda: not d.mailctl("queue", "list").stdout, 30, "an empty queue")
    names = arrived(peer)
    assert set(names) == set(load.answered + more.answered)
    whole(peer, 20_000)
    print(f"last block, {'killed' if kill else 'alive'}: {len(load.answered)} taken, twice {len(names) - len(set(names))}")


with Dns(RECORDS) as dns, mounted("-t", "tmpfs", "-o", "size=24m", "tmpfs") as folder:
    gate = threading.Event()
    with Peer("127.0.0.91", PORT, rcpt=lambda a, n: None if gate.is_set() else "451 4.3.2 busy") as peer:
        with Daemons(f"store.min_free = 2M\nsmtp.min_free = 0\npolicy.promiscuous_relay = yes\ndns.servers = {dns.server}\n"
                     f"client.port = {PORT}\nclient.host_status_timeout = 1 s\nqueue.retry_first = 1 s\nqueue.retry_most = 1 s\n",
                     listeners=LISTENERS, sends=True, folder=folder) as d:
            grows_full(d, peer, gate)
            last_block(d, peer, gate, kill=False)
            last_block(d, peer, gate, kill=True)
