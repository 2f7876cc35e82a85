"""Who asks for a reload hears of a reading that began after that; and what status and stop tell when the files are damaged."""
import os
import pathlib
import signal
import tempfile
import time

from lib_daemons import Daemons, free_ports, scenarios, wait_for
from tls_files import make


def state(d, name="smtpd"):
    return dict(line.partition(" ")[::2] for line in (d.home / "run" / f"{name}.state").read_text().splitlines())


def order(parent, user):
    """A reading of the faulty file is under way, slowly; the file is mended and a reload asked for."""
    settings = f"user = {user}\n" if user else ""
    d = Daemons(settings, ["smtp"], parent=parent)
    os.chmod(d.home, 0o711)
    certificate, _ = make(d.home, "one")
    _, other_key = make(d.home, "other")
    entries = d.home / "access"
    with open(entries, "w") as out:
        out.writelines(f"h{i}.example.org REJECT\n" for i in range(700000))
    with d:
        wait_for(lambda: (d.home / "run" / "smtpd.state").exists(), what="the state file")
        good = d.conf.read_text()
        d.conf.write_text(good + f"tls.certificate = {certificate}\ntls.key = {other_key}\npolicy.access = {entries}\n")
        os.kill(d.pid("smtpd"), signal.SIGHUP)
        wait_for(lambda: state(d)["begun"] == "2", what="the reading")
        time.sleep(0.2) # the file itself has been read; the map takes longer
        assert state(d)["readings"] == "1"
        d.conf.write_text(good)
        done = d.mailctl("reload", "smtpd", check=False)
        assert done.returncode == 0, (done, state(d))
        assert state(d)["readings"] == "3" and state(d)["failed"] == "0", state(d)
        assert d.log("smtpd").count("event=reload_failed") == 1, d.log("smtpd")


def order_alone(parent):
    order(parent, "")


def order_split(parent):
    if os.geteuid() == 0:
        order(parent, "nobody")


def damaged(parent):
    """Exit codes of a stopped and of a running service, with a damaged sendmail.mc that would have named the pid file."""
    folder = pathlib.Path(tempfile.mkdtemp(dir=parent))
    mc, pid = folder / "sendmail.mc", folder / "elsewhere.pid"
    good = f"define(`confPID_FILE', `{pid}')dnl\nDAEMON_OPTIONS(`Port={free_ports(1)[0]}, Addr=127.0.0.1, Name=MTA')dnl\n"
    mc.write_text(good)
    d = Daemons(f"sendmail_mc = {mc}\n", [], parent=parent)

    def expect(code, verb, service="sendmail"):
        done = d.mailctl(verb, service, check=False)
        assert done.returncode == code, (verb, code, done)
        return done.stdout + done.stderr

    expect(3, "status")
    mc.write_text(good + "FEATURE(`no_such_feature')dnl\n")
    assert "not running" in expect(3, "status")
    expect(0, "stop")
    expect(0, "condrestart")
    assert f"{mc}:3: error" in expect(1, "start")
    assert f"{mc}:3: error" in expect(1, "restart")
    expect(7, "reload")
    mc.write_text(good)
    expect(0, "start")
    assert pid.exists()
    mc.write_text(good + "FEATURE(`no_such_feature')dnl\n")
    assert "is running" in expect(0, "status")
    expect(1, "reload")
    expect(1, "condrestart")
    expect(0, "status")
    expect(0, "stop")
    assert not pid.exists()
    expect(3, "status")
    # The pid file moves in the file while the service runs.
    mc.write_text(good)
    expect(0, "start")
    mc.write_text(good.replace("elsewhere", "moved"))
    expect(0, "status")
    expect(0, "stop")
    assert not pid.exists()
    # What an included file says of places is not read out of a damaged one: it may run unseen.
    extra = d.home / "extra.conf"
    extra.write_text("log_level = 9\n")
    d.conf.write_text(d.conf.read_text() + f"include = {extra}\nsmtp.nonsense = 1\n")
    expect(4, "status")


def main():
    with tempfile.TemporaryDirectory(prefix="libmail-") as parent:
        os.chmod(parent, 0o711)
        scenarios(order_alone, order_split, damaged, arguments=(parent,))


main()
