"""Reloads under load: while 1,000 clients a second connect, 20 reloads refuse none of them and reset none."""
# long
import asyncio
import multiprocessing
import subprocess
import sys
import time

from lib_daemons import PROGRAMS, Daemons

RELOADS = 20
RATE = 1000
CLIENTS = 2  # processes; each offers its share
MOST_AT_ONCE = 400


async def session(port, counts, slots):
    """Greeting, QUIT, farewell, end of stream."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 30)
        greeting = await asyncio.wait_for(reader.readline(), 30)
        writer.write(b"QUIT\r\n")
        rest = await asyncio.wait_for(reader.read(), 30)
        if not greeting.startswith(b"220 ") or not rest.startswith(b"221 "):
            counts.append(f"answered {greeting!r} {rest!r}")
        writer.close()
    except Exception as error:  # each is a client that was let down
        counts.append(repr(error))
    finally:
        slots.release()


async def offer(port, stop):
    """RATE / CLIENTS connections a second; when the machine cannot, as many as it can."""
    done, counts, begun, slots = 0, [], time.monotonic(), asyncio.Semaphore(MOST_AT_ONCE)
    tasks = set()
    while not stop.is_set():
        await slots.acquire()
        task = asyncio.create_task(session(port, counts, slots))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        done += 1
        ahead = begun + done / (RATE / CLIENTS) - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)
    await asyncio.gather(*tasks)
    return done, counts, time.monotonic() - begun


def client(port, stop, results):
    results.put(asyncio.run(offer(port, stop)))


def main():
    settings = "max_connections_per_address = 10000\nlog_level = 0\n"
    with Daemons(settings, ["smtp", "imap"]) as d:
        stop, results = multiprocessing.Event(), multiprocessing.Queue()
        processes = [multiprocessing.Process(target=client, args=(d.port["smtp"], stop, results)) for _ in range(CLIENTS)]
        for p in processes:
            p.start()
        time.sleep(1)
        for number in range(RELOADS):
            d.set("smtp.greeting", f"greeting {number}")
            done = subprocess.run([PROGRAMS / "mailctl", "--config", d.conf, "reload", "smtpd"], capture_output=True, text=True)
            assert done.returncode == 0, done
            with d.wire("smtp") as w:
                assert f"greeting {number}" in w.line()
            time.sleep(0.2)
        time.sleep(1)
        stop.set()
        got = [results.get(timeout=120) for _ in processes]
        for p in processes:
            p.join()
        made = sum(done for done, _, _ in got)
        failures = [f for _, failed, _ in got for f in failed]
        rate = made / max(seconds for _, _, seconds in got)
        print(f"{made} connections, {rate:.0f} a second, {RELOADS} reloads, {len(failures)} failures")
        assert not failures, failures[:10]
        if rate < RATE * 0.95:
            print(f"this machine made fewer than {RATE} a second", file=sys.stderr)


main()
