"""Postfix's load generators: smtp-source sends more than is comfortable, smtp-sink takes what we relay. Each message counts.
# long"""
import time

from lib_daemons import Daemons, free_ports, scenarios, wait_for
from lib_dns import Dns
from lib_peers import Sink, source

PORT = free_ports(1)[0]
LISTENERS = {"smtp": ("smtp", "starttls", "smtpd"), "lmtp": ("lmtp", "none", "smtpd")}
SINKS = ("plain", "old", "unpiped", "seven", "late", "unwilling")
RECORDS = {f"{name}.test": {"MX": f"10 mx.{name}.test"} for name in SINKS}
RECORDS.update({f"mx.{name}.test": {"A": f"127.0.0.{n}"} for n, name in enumerate(SINKS, 111)})


def address(name):
    return RECORDS[f"mx.{name}.test"]["A"]


def letters(d, user):
    return sum(1 for f in (d.data / "mail").rglob("new/*") if user in f.relative_to(d.data).parts)


def waits(d):
    return len(d.mailctl("queue", "list").stdout.splitlines())


def through(d, name, count, *sink_options, source_options=()):
    """From the source by way of smtpd to a sink: as many arrive as were taken, and the queue is empty."""
    with Sink(address(name), PORT, *sink_options) as sink:
        began = time.monotonic()
        took = source(d.port["smtp"], count, f"x@{name}.test", *source_options)
        wait_for(lambda: sink.count() >= count, 180, f"{count} messages at {name}")
        sent = time.monotonic() - began
        wait_for(lambda: not waits(d), what="an empty queue")
        assert sink.count() == count, f"{sink.count()} for {count}"
    how = " ".join(str(option) for option in source_options)
    print(f"{name} {how}: {count} messages, taken {count / took:.0f}/s, sent {count / sent:.0f}/s")


def into_a_mailbox(d):
    took = source(d.port["smtp"], 5000, "alice@example.test", "-l", 2000)
    assert letters(d, "alice") == 5000
    print(f"into a mailbox: {5000 / took:.0f}/s")


def by_lmtp(d):
    took = source(d.port["lmtp"], 2000, "bob@example.test", "-L")
    assert letters(d, "bob") == 2000
    print(f"by LMTP: {2000 / took:.0f}/s")


def relayed(d):
    through(d, "plain", 10000)


def large(d):
    through(d, "plain", 200, source_options=("-l", 1_000_000))


def many_recipients(d):
    """Each message has fifty."""
    through(d, "plain", 300, source_options=("-r", 50))


def many_connections(d):
    through(d, "plain", 3000, source_options=("-s", 100))


def without_esmtp(d):
    through(d, "old", 1000, "-e")


def without_pipelining(d):
    through(d, "unpiped", 1000, "-p", "-8", "-N")


def slow_to_answer(d):
    """One in two waits a second or more at the end of a message."""
    through(d, "late", 300, "-W", ".:1:50")


def unwilling_then_willing(d):
    """It says 450 to each recipient; behind the same name then comes one that does not."""
    with Sink(address("unwilling"), PORT, "-r", "RCPT") as sink:
        source(d.port["smtp"], 2000, "x@unwilling.test")
        wait_for(lambda: waits(d) == 2000, what="2000 that wait")
        assert sink.count() == 0
    with Sink(address("unwilling"), PORT) as sink:
        wait_for(lambda: sink.count() >= 2000, 120, "2000 messages")
        wait_for(lambda: not waits(d), what="an empty queue")
        assert sink.count() == 2000


with Dns(RECORDS) as dns:
    with Daemons(f"policy.promiscuous_relay = yes\ndns.servers = {dns.server}\nclient.port = {PORT}\n"
                 "max_connections_per_address = 1000\nclient.host_status_timeout = 1 s\nqueue.retry_first = 2 s\n"
                 "queue.retry_most = 2 s\n", listeners=LISTENERS, sends=True, plain=True) as d:
        scenarios(into_a_mailbox, by_lmtp, relayed, large, many_recipients, many_connections, without_esmtp, without_pipelining,
                  slow_to_answer, unwilling_then_willing, arguments=(d,))
