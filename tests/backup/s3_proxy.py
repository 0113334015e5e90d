#!/usr/bin/python3
"""Servers that do what S3 servers should not, for tests/backup/test_store.py.

Faults: a TLS proxy in front of a server. Requests go on as they are (Host, too: it is signed), but for those that its fault is about:
    fault(REGEX, N, what, ...)    the next N requests whose "METHOD PATH" has REGEX in it; what is one of
    status CODE [HEADERS] [BODY]  that answer         drop   close without an answer
    reset                         close without having read the body
    lost                          the server does it, and its answer is lost
    cut BYTES                     the server's answer ends after so many bytes of its body
    answer CODE BODY              the server does it, and this is answered instead
    corrupt                       the body that goes on has one byte changed
    clock SECONDS                 refused, because our clock and the server's, which is so far ahead, differ by too much

What server.planted (planted.Planted) knows is looked for in all of each request; server.seen gets what was found, and where.

Google: Cloud Storage's XML API as far as its documentation says what differs: GOOG4 signatures, checked by a second implementation of them; conditions by
generation; x-amz- headers refused.
"""
import collections
import email.utils
import hashlib
import hmac
import http.client
import http.server
import re
import socket
import ssl
import struct
import threading
import time
import urllib.parse


def listen(handler, cert, key, tls12=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2 if tls12 else ssl.TLSVersion.TLSv1_3
    server = Server(("127.0.0.1", 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.port = server.server_address[1]
    server.lock = threading.Lock()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.serve(body)
        except OSError:
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any


class FaultHandler(Handler):
    def setup(self):
        with self.server.lock:
            self.server.connections += 1
        super().setup()

    def find(self):
        line = "%s %s" % (self.command, self.path)
        with self.server.lock:
            self.server.requests.append((line, dict(self.headers)))
            for f in self.server.faults:
                if f["left"] > 0 and re.search(f["match"], line):
                    f["left"] -= 1
                    return f["what"]
        return []

    def forward(self, body):
        c = http.client.HTTPSConnection("localhost", self.server.to, context=ssl._create_unverified_context(), timeout=60)
        c.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                c.putheader(name, value)
        c.endheaders(body)
        a = c.getresponse()
        data = a.read()
        c.close()
        skip = ("content-length", "connection", "transfer-encoding", "date", "server")
        headers = [(k, v) for k, v in a.getheaders() if k.lower() not in skip]
        if self.command == "HEAD" and a.getheader("Content-Length"):
            headers.append(("Content-Length", a.getheader("Content-Length")))
        return a.status, headers, data

    def refuse_clock(self, seconds):
        body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>made by the test</Message></Error>"
        self.send_response_only(403)
        self.send_header("Date", email.utils.formatdate(time.time() + seconds, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def look(self, body):
        if self.server.planted:
            found = self.server.planted.find(b"\n".join([self.requestline.encode(), bytes(self.headers), body]))
            if found:
                self.server.seen.append("%s: %s" % (self.requestline, found))
            self.server.looked += len(body)

    def drop(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def pass_on(self, body, cut=None):
        status, headers, data = self.forward(body)
        if self.command == "HEAD":
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
        elif cut is None:
            self.answer(status, headers, data)
        else:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:cut])
            self.wfile.flush()
            self.drop()

    def do_any(self):
        self.what = self.find()
        if self.what and self.what[0] == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
        else:
            super().do_any()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_any

    def serve(self, body):
        what = self.what
        kind = what[0] if what else ""
        self.look(body)
        if kind == "status":
            self.answer(what[1], what[2] if len(what) > 2 else (), (what[3] if len(what) > 3 else "").encode())
        elif kind == "drop":
            self.drop()
        elif kind == "clock" and self.command == "HEAD":
            self.drop()
        elif kind == "clock":
            self.refuse_clock(what[1])
        elif kind == "lost":
            self.forward(body)
            self.drop()
        elif kind == "cut":
            self.pass_on(body, what[1])
        elif kind == "answer":
            self.forward(body)
            self.answer(what[1], (), what[2].encode())
        elif kind == "corrupt":
            self.pass_on(body[:-1] + bytes([body[-1] ^ 1]) if body else body)
        else:
            self.pass_on(body)


class Faults:
    def __init__(self, d, to, tls12=False):
        self.server = listen(FaultHandler, d + "/srv.pem", d + "/srv.key", tls12)
        self.server.to = to
        self.server.faults = []
        self.server.requests = []
        self.server.planted, self.server.seen, self.server.looked = None, [], 0
        self.server.connections = 0
        self.port = self.server.port

    def fault(self, match, n, *what):
        with self.server.lock:
            self.server.faults.append({"match": match, "left": n, "what": what})

    def left(self):
        with self.server.lock:
            return sum(f["left"] for f in self.server.faults)

    def clear(self):
        with self.server.lock:
            self.server.faults.clear()
            self.server.requests.clear()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


# --- Google ---

class GoogleHandler(Handler):
    def refuse(self, status, code):
        self.answer(status, [("Content-Type", "application/xml")],
                    ("<?xml version='1.0' encoding='UTF-8'?><Error><Code>%s</Code><Message>made by the test</Message></Error>" % code).encode())

    def signature_ok(self, body):
        m = re.fullmatch(r"GOOG4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/storage/goog4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
                         self.headers.get("Authorization", ""))
        if not m or m[1] != self.server.key or hashlib.sha256(body).hexdigest() != self.headers.get("x-goog-content-sha256"):
            return False
        names = m[4].split(";")
        if not {"host", "x-goog-content-sha256", "x-goog-date"} <= set(names):
            return False
        path, _, query = self.path.partition("?")
        query = "&".join(sorted(query.split("&"))) if query else ""
        canonical = "\n".join([self.command, path, query, *["%s:%s" % (n, self.headers[n].strip()) for n in names], "", m[4],
                               self.headers["x-goog-content-sha256"]])
        scope = "%s/%s/storage/goog4_request" % (m[2], m[3])
        text = "\n".join(["GOOG4-HMAC-SHA256", self.headers["x-goog-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
        k = ("GOOG4" + self.server.secret).encode()
        for part in m[2], m[3], "storage", "goog4_request":
            k = hmac.new(k, part.encode(), hashlib.sha256).digest()
        return hmac.compare_digest(hmac.new(k, text.encode(), hashlib.sha256).hexdigest(), m[5])

    def serve(self, body):
        if any(n.lower().startswith("x-amz-") for n in self.headers):
            return self.refuse(400, "ExcessHeaderValues")
        if not self.signature_ok(body):
            return self.refuse(403, "SignatureDoesNotMatch")
        key = urllib.parse.unquote(self.path.partition("?")[0])
        objects = self.server.objects
        with self.server.lock:
            if self.command == "PUT":
                if self.headers.get("x-goog-if-generation-match") == "0" and key in objects:
                    return self.refuse(412, "PreconditionFailed")
                objects[key] = body
                return self.answer(200, [("ETag", '"%s"' % hashlib.md5(body).hexdigest())])
            if self.command == "DELETE":
                objects.pop(key, None)
                return self.answer(204)
            data = objects.get(key)
        if data is None:
            return self.refuse(404, "NoSuchKey")
        m = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not m:
            return self.answer(200, (), data)
        first, last = int(m[1]), min(int(m[2]), len(data) - 1)
        if first >= len(data):
            return self.refuse(416, "InvalidRange")
        return self.answer(206, [("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))], data[first:last + 1])


def google(cert, key, access_key, secret):
    server = listen(GoogleHandler, cert, key)
    server.objects, server.key, server.secret = collections.OrderedDict(), access_key, secret
    return server


# --- a proxy in the HTTP sense, that knows one place ---

class ConnectHandler(Handler):
    def do_CONNECT(self):
        self.server.asked.append(self.path)
        with socket.create_connection(("127.0.0.1", self.server.to)) as s:
            self.send_response(200)
            self.end_headers()
            threads = [threading.Thread(target=self.pump, args=a, daemon=True) for a in ((self.connection, s), (s, self.connection))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
        self.close_connection = True

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def connect_proxy(to):
    server = Server(("127.0.0.1", 0), ConnectHandler)
    server.port, server.to, server.asked = server.server_address[1], to, []
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server
