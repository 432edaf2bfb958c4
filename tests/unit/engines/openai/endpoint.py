"""A small server on loopback that speaks the protocol and answers by rule; and what is asked of it."""

import json
import math
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sparklabel import classification, extraction
from sparklabel.labeler import Labeler

KEY = "sk-secret-of-the-tests"
MOOD = classification("mood", inputs="text", labels=["good", "good enough", "bad"])
WHO = extraction("who", inputs="text", fields={"name": "string", "age": "integer"})


class JsonHandler(BaseHTTPRequestHandler):
    """Sends JSON (bytes go as they are), and prints nothing."""

    def send_json(self, code, payload, **headers):
        sent = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


class Endpoint(JsonHandler):
    """`server.reply(body, nth)` gives the status and the JSON of the nth request (bytes go as they are), or None: no
    answer at all."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.seen.append(body)
            self.server.keys.add(self.headers.get("Authorization"))
            self.server.headers.update(self.headers.items())
            nth = len(self.server.seen)
        answer = self.server.reply(body, nth)
        if answer is None:
            self.server.released.wait()
            self.close_connection = True
            return
        self.send_json(*answer, Retry_After_Ms="1")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Endpoint)
        self.lock, self.released = threading.Lock(), threading.Event()
        self.seen, self.keys, self.headers = [], set(), {}
        self.reply = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


def token(text, p=0.5, offered=()):
    def part(text, p):
        return {"token": text, "bytes": list(text.encode()), "logprob": math.log(p)}

    return part(text, p) | {"top_logprobs": [part(*one) for one in offered]}


def completion(text, tokens=None, reason="stop"):
    message = {"role": "assistant", "content": text}
    logprobs = None if tokens is None else {"content": tokens}
    choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": logprobs}
    return 200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def failing(http, message, **more):
    return http, {"error": {"message": message, "type": "error", **more}}


def written(text):
    """A completion whose tokens are the text's words."""
    return completion(text, [token(piece, 0.25) for piece in re.findall(r"\S+\s*|\s+", text)])


def mood(body, nth):
    """ "good enough" with 0.6, "good" with 0.2, "bad" with 0.2; the rest of what is offered is no choice."""
    if not body.get("logprobs"):
        return completion('{"answer": "good enough"}')
    return completion('{"answer": "good enough"}', [
        token('{"', 1.0), token("answer", 1.0), token('":', 1.0), token(' "', 1.0),
        token("good", 0.4, [("good", 0.4), ("bad", 0.1), ("ugly", 0.5)]),
        token(" enough", 0.6, [(" enough", 0.6), ('"}', 0.2), (" grief", 0.2)]),
        token('"}', 0.9, [('"}', 0.9), (",", 0.1)]), token("<|end|>", 1.0),
    ])  # fmt: skip


def answers(task, engine, *texts):
    return Labeler(task, engine, model="openai:m@here").label([(text,) for text in texts])
