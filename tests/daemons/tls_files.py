"""A check of the configuration, a start and a reload look at certificates and keys, and name the file at fault."""
import os
import pathlib
import tempfile

from lib_daemons import PROGRAMS, Daemons, free_ports, run, scenarios


def make(folder, name, days=30, start=None):
    """A pair; start: days from now at which it begins to hold."""
    key, pem = folder / f"{name}.key", folder / f"{name}.pem"
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", key)
    os.chmod(key, 0o600)
    if days > 0:
        run("openssl", "req", "-x509", "-new", "-key", key, "-days", days, "-subj", f"/CN={name}", "-out", pem)
    else: # long over: req cannot say that
        request = folder / f"{name}.req"
        run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={name}", "-out", request)
        conf, index = folder / "ca.conf", folder / "index"
        index.write_text("")
        (folder / "serial").write_text("01\n")
        conf.write_text(f"[ca]\ndefault_ca=c\n[c]\ndatabase={index}\nserial={folder}/serial\nnew_certs_dir={folder}\n"
                        "default_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        run("openssl", "ca", "-batch", "-config", conf, "-selfsign", "-keyfile", key, "-in", request, "-out", pem,
            "-startdate", "20200101000000Z", "-enddate", "20210101000000Z", "-notext")
    return pem, key


class Files:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.conf = self.folder / "libmail.conf"
        self.good, self.key = make(self.folder, "good")
        self.other, self.other_key = make(self.folder, "other")
        self.old, self.old_key = make(self.folder, "old", days=0)
        self.soon, self.soon_key = make(self.folder, "soon", days=3)
        self.junk = self.folder / "junk"
        self.junk.write_text("no certificate\n")

    def check(self, *lines, program="smtpd", options=()):
        self.conf.write_text(f"mail_directory = {self.folder}/mail\nrun_directory = {self.folder}/run\n"
                             f"accounts = {self.folder}/accounts\n" + "\n".join(lines) + "\n")
        if program == "mailctl":
            return run(PROGRAMS / program, "--config", self.conf, "config", "check", *options, check=False)
        return run(PROGRAMS / program, "-t", *options, "-c", self.conf, check=False)


def pair(section, certificate, key):
    names = {"tls": ("certificate", "key"), "smtp": ("tls_certificate", "tls_key"), "client": ("certificate", "key")}[section]
    return [f"{section}.{names[0]} = {certificate}", f"{section}.{names[1]} = {key}"]


def errors(f):
    absent = f.folder / "absent"
    open_key = f.folder / "open.key"
    open_key.write_bytes(f.key.read_bytes())
    os.chmod(open_key, 0o640)
    rows = []
    for section in "tls", "smtp", "client":
        rows += [(pair(section, absent, f.key), f":4: error: {section}", f"cannot read {absent}: "),
                 (pair(section, f.good, absent), f":5: error: {section}", f"cannot read {absent}: "),
                 (pair(section, f.junk, f.key), ":4: error: ", f"{f.junk} holds no certificate"),
                 (pair(section, f.good, f.junk), ":5: error: ", f"{f.junk} holds no private key"),
                 (pair(section, f.good, f.other_key), ":5: error: ",
                  f"{f.other_key} is not the key of the certificate in {f.good}"),
                 (pair(section, f.good, f.key)[:1], ":4: error: ", "are given together or not at all"),
                 (pair(section, f.good, f.key)[1:], ":4: error: ", "are given together or not at all")]
    rows += [(["tls.client_ca = " + str(f.junk)], ":4: error: ", f"{f.junk} holds no certificate"),
             (["smtp.client_ca = " + str(absent)], ":4: error: ", f"cannot read {absent}"),
             (pair("smtp", f.good, open_key), ":5: error: ", f"others can read {open_key}; chmod 0600")]
    for lines, place, text in rows:
        for program in "smtpd", "imapd", "mailctl":
            done = f.check(*lines, program=program)
            assert done.returncode == 1 and f"{f.conf}{place}" in done.stderr and text in done.stderr, (lines, program, done)


def warnings(f):
    rows = [(pair("tls", f.old, f.old_key), f":4: warning: tls.certificate: {f.old} has expired on 2021-01-01"),
            (pair("smtp", f.soon, f.soon_key), f":4: warning: smtp.tls_certificate: {f.soon} expires on "),
            (["tls.client_ca = " + str(f.old)], f":4: warning: tls.client_ca: {f.old} has expired")]
    for lines, text in rows:
        done = f.check(*lines)
        assert done.returncode == 0 and text in done.stderr, (lines, done)
        assert f.check(*lines, options=["--strict"]).returncode == 1
        assert f.check(*lines, program="mailctl", options=["--strict"]).returncode == 1
    done = f.check(*pair("tls", f.good, f.key), "smtp.client_ca_directory = " + str(f.folder))
    assert done.returncode == 0 and "warning" not in done.stderr and "error" not in done.stderr, done


def running(f):
    """A reload with a bad pair is refused before anybody is disturbed; a restart ends nothing; a start says which file."""
    with Daemons("", ["imaps"], parent=f.folder) as d:
        d.mailctl("reload", "imapd")
        pid = d.pid("imapd")
        d.set("tls.certificate", f.good)
        d.set("tls.key", f.other_key)
        for verb in "reload", "restart":
            done = d.mailctl(verb, "imapd", check=False)
            assert done.returncode == 1 and str(f.other_key) in done.stderr, done
            assert d.alive("imapd") and d.pid("imapd") == pid
        other = d.home / "other.conf"
        other.write_text(d.conf.read_text().replace(str(d.port["imaps"]), str(free_ports(1)[0])).replace("/run\n", "/other\n"))
        done = run(PROGRAMS / "imapd", "-c", other, check=False)
        assert done.returncode == 78 and f"{f.other_key} is not the key of the certificate in {f.good}" in done.stderr, done
        d.set("tls.certificate", f.old)
        d.set("tls.key", f.old_key)
        done = d.mailctl("reload", "imapd")
        assert "has expired" in done.stderr + d.log("imapd"), done
        assert "has expired" in d.log("imapd")


def main():
    with tempfile.TemporaryDirectory(prefix="libmail-") as folder:
        scenarios(errors, warnings, running, arguments=(Files(folder),))


if __name__ == "__main__":
    main()
