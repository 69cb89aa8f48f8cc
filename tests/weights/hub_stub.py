"""A hub of models on this machine: the few routes of huggingface.co that its own client takes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_of_this_test"
FRONT_MATTER = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


@dataclass
class Hub:
    """Repositories by name, each with its files; the private ones; and every request seen."""

    endpoint: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub, empty at first, on a port of this machine."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, status: int, value: Any) -> None:
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.seen.append(f"{self.command} {self.path}")
        if about := re.fullmatch(r"/api/models/([^/]+/[^/]+)", self.path):
            name = about[1]
            self.answer_json(200, {"id": name, "private": name in self.hub.private})
        elif wanted := re.fullmatch(r"/([^/]+/[^/]+)/resolve/main/(.+)", self.path):
            content = self.hub.files.get(wanted[1], {}).get(wanted[2])
            if content is None:
                self.answer(404, b"", X_Error_Code="RepoNotFound")
                return
            digest = hashlib.sha256(content).hexdigest()
            self.answer(200, content, ETag=f'"{digest}"', X_Repo_Commit="c" * 40)
        else:
            self.answer(404, b"")

    def do_POST(self) -> None:
        self.hub.seen.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self.answer_json(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self.create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self.validate(json.loads(body)["content"])
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self.answer_json(200, {"files": modes})
        elif commit := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", self.path):
            self.commit(commit[1], body)
        else:
            self.answer(404, b"")

    def create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        asked = wanted.get("private") or wanted.get("visibility") == "private"
        if asked and name not in self.hub.files:
            self.hub.private.add(name)
        status = 409 if name in self.hub.files else 200
        self.hub.files.setdefault(name, {})
        self.answer_json(status, {"url": f"{self.hub.endpoint}/{name}"})

    def validate(self, card: str) -> None:
        found = FRONT_MATTER.match(card)
        fields = yaml.safe_load(found[1]) if found else {}
        missing = {"license", "library_name", "pipeline_tag"} - set(fields)
        errors = [{"message": f"{name} is missing"} for name in sorted(missing)]
        self.answer_json(400 if errors else 200, {"errors": errors, "warnings": []})

    def commit(self, name: str, body: bytes) -> None:
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                value = entry["value"]
                assert value["encoding"] == "base64"
                self.hub.files[name][value["path"]] = base64.b64decode(value["content"])
        url = f"{self.hub.endpoint}/{name}/commit/{'c' * 40}"
        self.answer_json(200, {"commitUrl": url, "commitOid": "c" * 40, "success": True})
