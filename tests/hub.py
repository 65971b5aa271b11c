"""A hub on 127.0.0.1 that speaks as much of Hugging Face's interface as its client asks for.

Models live in memory: a commit has an id of 40 digits, and branches name commits. Small files are
sent with the commit itself, as the real hub has it for what is not large.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Model:
    """A model of the hub."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # id → file → content
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch."""
        before = self.commits.get(self.branches.get(branch, ""), {})
        number = hashlib.sha1(f"{len(self.commits)}".encode()).hexdigest()
        self.commits[number] = before | files
        self.branches[branch] = number
        return number


@dataclass
class Hub:
    """All models, by name, and what was asked for: "GET /path"."""

    address: str = ""
    models: dict[str, Model] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def fetched(self) -> set[str]:
        """Names of the files that were downloaded."""
        return {line.rpartition("/")[2] for line in self.asked if re.match("GET .*/resolve/", line)}


@contextmanager
def serve() -> Iterator[Hub]:
    """A hub, as long as the `with` block lasts."""
    hub = Hub()

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "POST" and path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._send(200, {"errors": [], "warnings": []})
        match = re.fullmatch(r"/(?:api/models/)?([\w.-]+/[\w.-]+)(?:/(.*))?", path)
        model = self.hub.models.get(match[1]) if match else None
        if model is None:
            return self._send(404, {"error": "none"}, {"X-Error-Code": "RepoNotFound"})
        verb, _, rest = (match[2] or "revision/main").partition("/")
        if model.gated and verb == "resolve":
            return self._send(403, {"error": "agree first"}, {"X-Error-Code": "GatedRepo"})
        if verb == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            return self._send(200, {"files": files})
        if verb == "commit":
            return self._commit(match[1], model, body)
        revision, _, name = rest.partition("/")
        number = model.branches.get(revision, revision)
        if number not in model.commits:
            return self._send(404, {"error": "none"}, {"X-Error-Code": "RevisionNotFound"})
        files = model.commits[number]
        if verb == "revision":
            siblings = [{"rfilename": name} for name in files]
            facts = {"id": match[1], "sha": number, "private": model.private}
            return self._send(200, facts | {"siblings": siblings})
        if verb == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
                for name, content in files.items()
            ]
            return self._send(200, entries)
        if name not in files:
            return self._send(404, {"error": "none"}, {"X-Error-Code": "EntryNotFound"})
        headers = {"ETag": f'"{_oid(files[name])}"', "X-Repo-Commit": number}
        return self._send(200, files[name], headers)

    def _create(self, asked: dict) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if name in self.hub.models:
            return self._send(409, {"error": "there already", "url": f"{self.hub.address}/{name}"})
        self.hub.models[name] = Model(private=asked.get("visibility") == "private")
        self.hub.models[name].commit({".gitattributes": b""})
        return self._send(200, {"url": f"{self.hub.address}/{name}"})

    def _commit(self, name: str, model: Model, body: bytes) -> None:
        entries = [json.loads(line) for line in body.splitlines()]
        files = {
            entry["value"]["path"]: base64.b64decode(entry["value"]["content"])
            for entry in entries
            if entry["key"] == "file"
        }
        number = model.commit(files)
        address = f"{self.hub.address}/{name}/commit/{number}"
        self._send(200, {"commitUrl": address, "commitOid": number, "success": True})

    def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
