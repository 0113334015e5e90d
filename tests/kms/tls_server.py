"""HTTPS servers with one fault each: tls_server.py DIR. Makes an authority, DIR/tls-ca.pem; writes lines "CASE PORT" to DIR/tls-ports when all of them listen; serves until it is ended.

CASES says what is wrong. The server answers HEAD, and nothing else, with a Date; what it was asked is a line "CASE REQUEST-LINE HEADERS..." of DIR/tls-asked."""
import datetime
import http.server
import os
import ssl
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
# name in the certificate, days from now it begins and ends, newest TLS, seconds the clock is off
CASES = {
    "good": ("localhost", -1, 800, None, 0),
    "old": ("localhost", -1, 800, ssl.TLSVersion.TLSv1_2, 0),
    "expired": ("localhost", -90, -2, None, 0),
    "early": ("localhost", 2, 90, None, 0),
    "name": ("other.example", -1, 800, None, 0),
    "stranger": ("localhost", -1, 800, None, 0),
    "soon": ("localhost", -88, 2, None, 0),
    "slow": ("localhost", -1, 800, None, -90),
    "fast": ("localhost", -1, 800, None, 700),
    "plain": (None, 0, 0, None, 0),
}


def certificate(name, begins, ends, issuer=None, issuer_key=None):
    now = datetime.datetime.utcnow()
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject).public_key(key.public_key())
         .serial_number(x509.random_serial_number()).not_valid_before(now + begins * DAY).not_valid_after(now + ends * DAY))
    if issuer:
        b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    else:
        b = b.add_extension(x509.BasicConstraints(True, None), True)
    return b.sign(issuer_key or key, hashes.SHA256()), key


def pem(path, cert, key=None):
    with open(path, "wb") as f:
        f.write(cert.public_bytes(serialization.Encoding.PEM))
        if key:
            f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


def handler(case, offset, asked):
    class Handler(http.server.BaseHTTPRequestHandler):
        def date_time_string(self, timestamp=None):
            return super().date_time_string(time.time() + offset)

        def do_HEAD(self):
            with open(asked, "a") as f:
                f.write(" ".join([case, self.requestline, *(h for h in self.headers)]) + "\n")
            self.send_response(404)
            self.end_headers()

        def log_message(self, *args):
            pass

    return Handler


def main(d):
    ca, ca_key = certificate("test authority", -100, 1000)
    pem(os.path.join(d, "tls-ca.pem"), ca)
    stranger, stranger_key = certificate("unknown authority", -100, 1000)
    lines = []
    for case, (name, begins, ends, newest, offset) in CASES.items():
        server = Server(("127.0.0.1", 0), handler(case, offset, os.path.join(d, "tls-asked")))
        if name:
            by, by_key = (stranger, stranger_key) if case == "stranger" else (ca, ca_key)
            cert, key = certificate(name, begins, ends, by.subject, by_key)
            path = os.path.join(d, "tls-" + case + ".pem")
            pem(path, cert, key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
            if newest:
                context.maximum_version = newest
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lines.append("%s %d\n" % (case, server.server_address[1]))
    with open(os.path.join(d, "tls-ports.new"), "w") as f:
        f.writelines(lines)
    os.rename(os.path.join(d, "tls-ports.new"), os.path.join(d, "tls-ports"))
    threading.Event().wait()


main(sys.argv[1])
