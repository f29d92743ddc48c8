"""What a client of the original service does, and listening as a browser does."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from ops.admin.accounts import Account


@dataclass(frozen=True)
class Phone:
    """A user with a key, and a client that sends it."""

    account: Account
    client: httpx2.Client

    def call(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of an answer that is a success."""
        response = self.client.request(method, path, **request)
        assert response.is_success, (method, path, response.status_code, response.text)
        return response.json()

    def create(self, name: str) -> Any:
        return self.call("POST", "/api/streams/create", json={"streamName": name})

    def send(self, name: str, message: Any, **members: Any) -> str:
        """The id of a message sent."""
        body = {"message": message, **members}
        sent = self.call("POST", f"/api/streams/{name}/messages", json=body)
        assert sent == {"success": True, "messageId": sent["messageId"], "streamName": name}
        return str(sent["messageId"])

    def messages(self, name: str, **query: Any) -> list[Any]:
        answer = self.call("GET", f"/api/streams/{name}/messages", params=query)
        assert answer["streamName"] == name
        found: list[Any] = answer["messages"]
        return found

    def texts(self, name: str, **query: Any) -> list[str]:
        """The messages, without the entries that creating a stream makes."""
        found = [each["data"] for each in self.messages(name, **query)]
        return [data["message"] for data in found if "message" in data]

    def streams(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.call("GET", "/api/streams")["streams"]}

    def start(self, name: str, **members: Any) -> Any:
        """A ride that the stream feeds."""
        response = self.client.post("/api/workouts", json={"streamName": name, **members})
        assert response.status_code == 201, response.text
        return response.json()["workout"]

    def complete(self, workout_id: str, **body: Any) -> Any:
        return self.call("POST", f"/api/workouts/{workout_id}/complete", json=body or None)


@dataclass(frozen=True)
class Listener:
    """An open event stream; ``lines`` are its lines as they come, with what ends them."""

    response: httpx2.Response
    lines: Iterator[str]

    def next(self) -> Any:
        """The data of the next event, which has one line and nothing beside it."""
        line = next(self.lines)
        while line.startswith(":"):
            assert next(self.lines) == "\n"
            line = next(self.lines)
        assert line.startswith("data: ")
        assert next(self.lines) == "\n"
        return json.loads(line.removeprefix("data: "))

    def has_ended(self) -> bool:
        return next(self.lines, None) is None


@contextmanager
def listening(client: httpx2.Client, path: str, **query: str) -> Iterator[Listener]:
    with client.stream("GET", path, params=query, timeout=60) as response:
        yield Listener(response, _lines(response))


def _lines(response: httpx2.Response) -> Iterator[str]:
    """Ended by LF alone: a CR would stay in the line."""
    held = ""
    for piece in response.iter_text():
        held += piece
        while "\n" in held:
            line, _, held = held.partition("\n")
            yield line + "\n"
    assert held == ""
