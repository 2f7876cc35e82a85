"""Tables of tests/vectors and tests/guide, and connections of clients at any address, for tests of a running smtpd."""
import base64
import csv
import hashlib
import hmac

from lib_daemons import SOURCE, Wire

VECTORS = SOURCE / "tests/vectors"
GUIDE = SOURCE / "tests/guide"
HOST = "correo.midominio.com.mx"


def rows(path):
    """Dictionaries by the names in the first line, which begins with '#'."""
    with open(path) as f:
        f.read(1)
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def proxied(d, listener, address):
    """A connection that a trusted proxy makes for a client; and the greeting."""
    w = Wire(d.port[listener])
    six = ":" in address
    w.send(f"PROXY {'TCP6' if six else 'TCP4'} {address} {'::1' if six else '127.0.0.1'} 40000 25\r\n")
    return w, w.reply()


def cram(w, user, password):
    """AUTH CRAM-MD5 (RFC 2195); the last reply."""
    got = w.ask("AUTH CRAM-MD5")
    if not got[0].startswith("334 "):
        return got
    digest = hmac.new(password.encode(), base64.b64decode(got[0][4:]), hashlib.md5).hexdigest()
    return w.ask(base64.b64encode(f"{user} {digest}".encode()).decode())
