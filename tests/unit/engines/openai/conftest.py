"""The endpoint, and engines that ask it."""

import threading

import pytest

from sparklabel.engines.openai.engine import OpenAIEngine
from tests.unit.engines.openai.endpoint import KEY, Server


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def engine(server):
    made = []

    def make(reply, **options):
        server.reply = reply
        made.append(OpenAIEngine("m", base_url=server.url, **{"api_key_env": "OPENAI_API_KEY"} | options))
        return made[-1]

    yield make
    for one in made:
        one.close()
