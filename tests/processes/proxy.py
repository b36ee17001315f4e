"""A proxy between an engine and its database that cuts connections in the middle of a COMMIT of the money path."""

import re
import socket
import threading
from contextlib import suppress

from django.db import connection

COMMIT = b"COMMIT\x00"
WRITES_MONEY = re.compile(rb'(UPDATE|INSERT INTO) "orders_')
CHUNK = 65_536


class CuttingProxy:
    """Listens on a port of this machine; `cuts` more commits of transactions that wrote orders or intents are lost.

    Every second one is cut before the server sees it, the others after: the client never knows which.
    """

    def __init__(self) -> None:
        self.cuts = 0
        self.lost_before = self.lost_after = 0
        self._lock = threading.Lock()
        self._server = connection.get_connection_params()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.5)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self) -> str:
        """Return the DATABASE_URL through this proxy."""
        server = self._server
        secret = f":{server['password']}" if server.get("password") else ""
        port = self._listener.getsockname()[1]
        return f"postgresql://{server['user']}{secret}@127.0.0.1:{port}/{server['dbname']}?sslmode=disable"

    def close(self) -> None:
        """Cut everything."""
        self._is_over.set()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
            threading.Thread(target=_pump, args=(server, client), daemon=True).start()

    def _connect(self) -> socket.socket:
        host, port = str(self._server.get("host") or "127.0.0.1"), int(self._server.get("port") or 5432)
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        found = socket.socket(socket.AF_UNIX)
        found.connect(f"{host}/.s.PGSQL.{port}")
        return found

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Hand on what the client says; lose a commit, and the connection with it, when one is due."""
        wrote = False
        with suppress(OSError):
            while data := client.recv(CHUNK):
                is_commit = COMMIT in data
                if is_commit and wrote and (cut := self._take()):
                    if cut == "after":
                        server.sendall(data)
                        server.shutdown(socket.SHUT_WR)
                    break
                wrote = not is_commit and (wrote or WRITES_MONEY.search(data) is not None)
                server.sendall(data)
        _end(client)
        _end(server)

    def _take(self) -> str:
        with self._lock:
            if self.cuts <= 0:
                return ""
            where = "after" if self.cuts % 2 else "before"
            self.lost_before += where == "before"
            self.lost_after += where == "after"
            self.cuts -= 1
            return where


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    _end(source)
    _end(target)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
