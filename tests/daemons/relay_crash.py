"""smtpd is killed again and again while it relays: every message answered with 250 arrives, and twice only where the
# long
server had taken it and we had not yet written that down (RFC 1047), which is counted. Then a queue behind a host that is down."""
import itertools
import random
import re
import smtplib
import threading
import time

from lib_daemons import Daemons, free_ports, wait_for
from lib_dns import Dns
from lib_relay import Peer

ROUNDS, SENDERS = 12, 4
PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd")}
seed = random.SystemRandom().randrange(1 << 30)
print("seed", seed)
dice = random.Random(seed)
serial = itertools.count()
answered, lock = set(), threading.Lock()


def load(d, stop, kind):
    while not stop.is_set():
        try:
            with smtplib.SMTP("127.0.0.1", d.port["smtp"], timeout=5) as s:
                while not stop.is_set():
                    name = f"{kind}{next(serial)}"
                    domain = dice.choice(("one.test", "two.test", "three.test"))
                    s.sendmail("", [f"x@{domain}"], f"Message-ID: <{name}@t>\r\n\r\n{'x' * dice.randrange(3000)}\r\n")
                    with lock:
                        answered.add(name)
        except (OSError, smtplib.SMTPException):
            time.sleep(0.02)


def names(peers):
    found = {}
    for peer in peers:
        for _, _, octets in list(peer.mails):
            name = re.search(rb"Message-ID: <(\w+)@t>", octets)[1].decode()
            found[name] = found.get(name, 0) + 1
    return found


RECORDS = {f"{name}.test": {"MX": f"10 mx.{name}.test"} for name in ("one", "two", "three")}
RECORDS.update({"mx.one.test": {"A": "127.0.0.61"}, "mx.two.test": {"A": "127.0.0.62"}, "mx.three.test": {"A": "127.0.0.63"}})


def main():
    with Dns(RECORDS) as dns, Peer("127.0.0.61", PORT) as one, \
            Peer("127.0.0.62", PORT, rcpt=lambda a, n: "451 4.7.1 later" if n % 5 == 0 else None) as two, \
            Peer("127.0.0.63", PORT, end=lambda s, o: "DROP" if dice.random() < 0.05 else None) as three:
        peers = (one, two, three)
        with Daemons(f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {PORT}\n"
                     "client.host_status_timeout = 1 s\nqueue.retry_first = 1 s\nqueue.retry_most = 1 s\n",
                     listeners=LISTENERS, users=("alice",), sends=True) as d:
            for n in range(ROUNDS):
                stop = threading.Event()
                threads = [threading.Thread(target=load, args=(d, stop, f"r{n}t{k}x")) for k in range(SENDERS)]
                for t in threads:
                    t.start()
                time.sleep(dice.uniform(0.2, 1.0))
                d.kill("smtpd")
                stop.set()
                for t in threads:
                    t.join()
                d.start("smtpd")
            wait_for(lambda: answered <= names(peers).keys(), 90, f"{len(answered)} answered")
            wait_for(lambda: not d.mailctl("queue", "list").stdout, 60, "an empty queue")
            found = names(peers)
            twice = sum(1 for name, count in found.items() if count > 1)
            print(f"answered {len(answered)}, arrived {len(found)}, twice {twice}, never answered {len(found) - len(answered & found.keys())}")
            assert answered <= found.keys()
            assert twice <= ROUNDS * 3 * 10 + len(found) // 10, "more than what the kills explain"


main()
