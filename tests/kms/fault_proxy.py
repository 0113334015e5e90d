#!/usr/bin/python3
"""A TLS server in front of another that does to each request what it was told last.

    fault_proxy.py DIR PORT [CERT] [tls12]    serves with DIR/CERT.pem (srv), before https://localhost:PORT; writes its own port to DIR/proxy-port
    fault_proxy.py DIR http:PORT ...          the same before http://127.0.0.1:PORT

DIR/fault holds what to do, read at each request; absent or empty: pass it on.
    status N [HEADER: VALUE]   answer with N       body N TEXT       answer N with TEXT     slow S     pass it on after S seconds
    drop                       close without an answer               big N      answer with N bytes
    half                       close in the middle of the answer     redirect URL           answer 307
    times N FAULT…             do FAULT to the next N requests, then pass on
    clock S N TEXT             answer N with TEXT and a Date that is S seconds ahead, unless X-Amz-Date is so, too: then pass it on
DIR/requests gets a line a request: the method, the path and its headers' names.
"""
import calendar
import email.utils
import http.client
import http.server
import os
import socket
import ssl
import sys
import threading
import time

LOCK = threading.Lock()


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def fault(self):
        path = os.path.join(self.server.d, "fault")
        with LOCK:
            with open(os.path.join(self.server.d, "requests"), "a") as f:
                f.write("%s %s %s\n" % (self.command, self.path, " ".join(sorted(self.headers.keys()))))
            if not os.path.exists(path):
                return []
            with open(path) as f:
                words = f.read().strip().split(" ")
            if words[0] == "times":
                left, words = int(words[1]), words[2:]
                with open(path + ".new", "w") as f:
                    f.write("" if left == 1 else " ".join(["times", str(left - 1), *words]))
                os.rename(path + ".new", path)
            return [w for w in words if w]

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def forward(self, body):
        if self.server.plain:
            c = http.client.HTTPConnection("127.0.0.1", self.server.to, timeout=30)
        else:
            context = ssl.create_default_context(cafile=os.path.join(self.server.d, "ca.pem"))
            c = http.client.HTTPSConnection("localhost", self.server.to, context=context, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "connection"}  # Host stays: it is signed
        c.request(self.command, self.path, body, headers)
        answer = c.getresponse()
        ids = [(k, v) for k, v in answer.getheaders() if k.lower() == "x-amzn-requestid"]
        self.answer(answer.status, answer.read(), [("Content-Type", "application/json"), *ids])
        c.close()

    def act(self, words, body):
        what = words[0] if words else ""
        if what == "status":
            text = " ".join(words[2:])
            self.answer(int(words[1]), b'{"errors":["made by the test"]}', [tuple(text.split(": ", 1))] if text else [])
        elif what == "body":
            self.answer(int(words[1]), " ".join(words[2:]).encode())
        elif what == "clock":
            there = time.time() + float(words[1])
            sent = calendar.timegm(time.strptime(self.headers.get("X-Amz-Date", "19700101T000000Z"), "%Y%m%dT%H%M%SZ"))
            if abs(sent - there) < 300:
                self.forward(body)
            else:
                self.date_time_string = lambda timestamp=None: email.utils.formatdate(there, usegmt=True)
                self.answer(int(words[2]), " ".join(words[3:]).encode())
        elif what == "big":
            self.answer(200, b" " * int(words[1]))
        elif what == "redirect":
            self.answer(307, b"", [("Location", words[1])])
        elif what == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif what == "half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b'{"data":')
            self.close_connection = True
        else:
            if what == "slow":
                time.sleep(float(words[1]))
            self.forward(body)

    def do_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self.act(self.fault(), body)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # handshakes that fail are what some tests want


def main(d, to, cert="srv", tls=""):
    server = Server(("127.0.0.1", 0), Proxy)
    server.d, server.plain, server.to = d, to.startswith("http:"), int(to.split(":")[-1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(d, cert + ".pem"), os.path.join(d, cert + ".key"))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2 if tls == "tls12" else ssl.TLSVersion.TLSv1_3
    # The handshake in the request's thread, so that one that hangs holds up nobody.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with open(os.path.join(d, "proxy-port.new"), "w") as f:
        f.write(str(server.server_address[1]))
    os.rename(os.path.join(d, "proxy-port.new"), os.path.join(d, "proxy-port"))
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
