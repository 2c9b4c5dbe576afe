"""The scripted model over real HTTP, as a gateway in any language meets it."""

from __future__ import annotations

import http.client
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from pytest_cronsession.model import ERROR, HANG, TRANSIENT, Answer, Script, hold, tag_text
from pytest_cronsession.model_server import ModelServer

WAIT_S = 10.0
JSON = {"Content-Type": "application/json", "Authorization": "Bearer x"}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    running = ModelServer(Script("w1"))
    try:
        yield running
    finally:
        running.close()


class Client:
    """One keep-alive connection."""

    def __init__(self, server: ModelServer) -> None:
        url = urlsplit(server.url)
        self.base = url.path
        self.connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=WAIT_S)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, http.client.HTTPMessage, bytes]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        self.connection.request(method, self.base + path, data, JSON)
        response = self.connection.getresponse()
        return response.status, response.headers, response.read()

    def json(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, _, data = self.ask(method, path, body)
        return status, json.loads(data)

    def turns(self) -> Any:
        return self.json("GET", "/cronsession/turns")[1]


@pytest.fixture
def client(server: ModelServer) -> Iterator[Client]:
    made = Client(server)
    try:
        yield made
    finally:
        made.connection.close()


def chat(tag: str, **more: Any) -> dict[str, Any]:
    return {"model": "cronsession", "messages": [{"role": "user", "content": tag_text("Go.", tag)}], **more}


def ask_elsewhere(server: ModelServer, tag: str) -> tuple[int, Any]:
    """A request on a connection of its own."""
    made = Client(server)
    try:
        return made.json("POST", "/chat/completions", chat(tag))
    finally:
        made.connection.close()


def raw(server: ModelServer, body: bytes, *headers: str) -> socket.socket:
    """A connection on which a request was written by hand."""
    url = urlsplit(server.url)
    sock = socket.create_connection((str(url.hostname), url.port or 0), timeout=WAIT_S)
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
    return sock


def test_the_url_is_on_loopback_and_ends_in_v1(server: ModelServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert server.url.endswith("/v1")


def test_models(client: Client) -> None:
    status, body = client.json("GET", "/models")
    assert (status, body["object"]) == (200, "list")
    assert [m["id"] for m in body["data"]] == ["cronsession"]


def test_a_plain_answer(server: ModelServer, client: Client) -> None:
    server.script.plan("a", Answer(text="Done."))
    status, body = client.json("POST", "/chat/completions", chat("a"))
    (turn,) = server.script.turns("a")
    assert status == 200
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": f"Done. [[turn:{turn.nonce}]]"}
    assert (
        body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    )
    assert turn.state == "answered"
    assert client.turns() == {"open": 0, "held": 0}


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {"include_usage": True}])
def test_a_streamed_answer(server: ModelServer, client: Client, options: dict[str, bool] | None) -> None:
    more = {} if options is None else {"stream_options": options}
    status, headers, data = client.ask("POST", "/chat/completions", chat("a", stream=True, **more))
    (turn,) = server.script.turns()
    assert (status, headers["Content-Type"]) == (200, "text/event-stream")
    events = data.decode().split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") for event in events)
    assert events.pop() == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert {c["object"] for c in chunks} == {"chat.completion.chunk"}
    assert len({(c["id"], c["model"], c["created"]) for c in chunks}) == 1
    if options and options["include_usage"]:
        last = chunks.pop()
        assert (last["choices"], last["usage"]["total_tokens"]) == ([], 2)
    choices = [c["choices"][0] for c in chunks]
    assert choices[0]["delta"]["role"] == "assistant"
    assert "".join(c["delta"].get("content", "") for c in choices) == f"OK [[turn:{turn.nonce}]]"
    assert [c["finish_reason"] for c in choices] == [None, None, "stop"]
    # The connection goes on after a stream.
    assert client.json("GET", "/models")[0] == 200


@pytest.mark.parametrize(("answer", "status"), [(ERROR, 400), (TRANSIENT, 503)])
@pytest.mark.parametrize("stream", [False, True])
def test_scripted_failures(
    server: ModelServer, client: Client, answer: Answer, status: int, stream: bool
) -> None:
    server.script.plan("a", answer)
    got, body = client.json("POST", "/chat/completions", chat("a", stream=stream))
    assert got == status
    assert body["error"]["code"] == status
    assert "scripted" in body["error"]["message"]
    assert [t.state for t in server.script.turns()] == ["failed"]
    assert client.json("POST", "/chat/completions", chat("a"))[0] == 200


def test_a_held_turn_is_answered_when_it_is_released(server: ModelServer, client: Client) -> None:
    script = server.script
    script.plan("a", hold(1000))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_elsewhere, server, "a")
        assert script.wait_for(lambda: script.held_turns() == 1, WAIT_S)
        assert client.turns() == {"open": 1, "held": 1}
        script.release_due(1000)
        status, body = waiting.result(WAIT_S)
    assert (status, script.turns()[0].state) == (200, "answered")
    assert script.turns()[0].nonce in body["choices"][0]["message"]["content"]
    assert client.turns() == {"open": 0, "held": 0}


def test_the_head_of_a_held_stream_comes_at_once(server: ModelServer, client: Client) -> None:
    script = server.script
    script.plan("a", hold())
    body = json.dumps(chat("a", stream=True)).encode()
    client.connection.request("POST", client.base + "/chat/completions", body, JSON)
    response = client.connection.getresponse()
    assert (response.status, script.held_turns()) == (200, 1)
    script.release("a")
    text = response.read().decode()
    assert script.turns()[0].nonce in text
    assert text.endswith("data: [DONE]\n\n")


def test_a_client_that_goes_away_leaves_no_held_turn(server: ModelServer, client: Client) -> None:
    script = server.script
    script.plan("a", HANG)
    body = json.dumps(chat("a")).encode()
    gone = raw(server, body, f"Content-Length: {len(body)}")
    assert script.wait_for(lambda: script.held_turns() == 1, WAIT_S)
    gone.close()
    assert client.turns()["held"] == 0
    assert script.wait_for(lambda: script.turns()[0].state == "aborted", WAIT_S)
    assert client.turns() == {"open": 0, "held": 0}


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_whose_client_has_gone_is_not_answered_by_its_release(
    server: ModelServer, stream: bool
) -> None:
    script = server.script
    script.plan("a", hold(1000))
    body = json.dumps(chat("a", stream=stream)).encode()
    with raw(server, body, f"Content-Length: {len(body)}"):
        assert script.wait_for(lambda: script.held_turns() == 1, WAIT_S)
    script.now_ms = 1000
    script.release_due(1000)
    assert script.wait_for(lambda: script.turns("a")[0].state not in ("open", "held"), WAIT_S)
    assert script.turns("a")[0].state == "aborted"


def test_closing_the_server_answers_what_is_held() -> None:
    server = ModelServer(Script())
    server.script.plan("a", HANG)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_elsewhere, server, "a")
        assert server.script.wait_for(lambda: server.script.held_turns() == 1, WAIT_S)
        server.close()
        assert waiting.result(WAIT_S)[0] == 200


def test_many_turns_at_once(server: ModelServer) -> None:
    script = server.script
    tags = [script.new_tag() for _ in range(24)]
    for tag in tags:
        script.plan(tag, hold())
    with ThreadPoolExecutor(len(tags)) as pool:
        waiting = [pool.submit(ask_elsewhere, server, tag) for tag in tags]
        assert script.wait_for(lambda: script.held_turns() == len(tags), WAIT_S)
        script.release_all()
        answers = [w.result(WAIT_S) for w in waiting]
    assert {status for status, _ in answers} == {200}
    contents = [body["choices"][0]["message"]["content"] for _, body in answers]
    assert len(set(contents)) == len(tags)


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff\xfe", b"[]", b"7", b'"text"', b"null"],
    ids=["cut", "bytes", "list", "number", "text", "null"],
)
def test_a_malformed_body_is_refused(server: ModelServer, client: Client, body: bytes) -> None:
    status, answer = client.json("POST", "/chat/completions", body)
    assert status == 400
    assert "JSON" in answer["error"]["message"]
    assert server.script.turns() == []
    assert client.json("GET", "/models")[0] == 200


@pytest.mark.parametrize("body", [{"messages": 7}, {"messages": [7]}, {"stream": True, "stream_options": 7}])
def test_an_odd_body_is_still_answered(server: ModelServer, client: Client, body: dict[str, Any]) -> None:
    assert client.ask("POST", "/chat/completions", body)[0] == 200
    assert [t.tag for t in server.script.turns()] == [None]


def test_a_body_in_chunks(server: ModelServer) -> None:
    # What HTTP clients send when they stream a request: no Content-Length.
    url = urlsplit(server.url)
    data = json.dumps(chat("a")).encode()
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=WAIT_S)
    try:
        pieces = iter([data[:10], data[10:]])
        for body in (pieces, data):  # the second request shows that nothing was left unread
            connection.request("POST", "/v1/chat/completions", body, JSON, encode_chunked=body is pieces)
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())["object"]) == (200, "chat.completion")
    finally:
        connection.close()
    assert [t.tag for t in server.script.turns()] == ["a", "a"]


@pytest.mark.parametrize("header", ["Content-Length: x", "Content-Length: -5"])
def test_a_length_that_is_none_is_refused(server: ModelServer, header: str) -> None:
    with raw(server, b"{}", header) as sock:
        assert sock.recv(1024).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("POST", "/completions"), ("GET", "/")])
def test_unknown_paths(client: Client, method: str, path: str) -> None:
    status, body = client.json(method, path, {} if method == "POST" else None)
    assert status == 404
    assert "no such path" in body["error"]["message"]


def test_queries_and_slashes_in_paths_do_not_matter(client: Client) -> None:
    assert client.json("GET", "/models/?limit=1")[0] == 200
    assert client.json("POST", "/chat/completions?api-version=1", chat("a"))[0] == 200


def test_nothing_is_left_after_the_server_is_closed() -> None:
    server = ModelServer(Script())
    url = urlsplit(server.url)
    before = {t for t in threading.enumerate() if t is not server._thread}
    server.close()
    assert not server._thread.is_alive()
    assert {t for t in threading.enumerate() if t.is_alive()} <= before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((str(url.hostname), url.port or 0), timeout=WAIT_S)


def test_closing_does_not_wait_for_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """A world is closed for each example of a machine: a polling interval each is seconds a run."""
    server = ModelServer(Script("w1"))
    monkeypatch.setattr(socketserver.BaseServer, "serve_forever", None)
    monkeypatch.setattr(socketserver.BaseServer, "shutdown", None)
    server.close()
    assert not server._thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=WAIT_S)


def test_a_server_with_a_full_queue_of_connections_is_closed() -> None:
    server = ModelServer(Script("w1"))
    waiting = [socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) for _ in range(20)]
    server.close()
    assert not server._thread.is_alive()
    for connection in waiting:
        connection.close()
