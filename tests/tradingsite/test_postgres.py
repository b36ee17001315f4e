"""The embedded PostgreSQL: shared, restarted when it dies, stopped by the last session."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.tradingsite.clusters import discarded, folder
from tradingsite.postgres import Cluster, PostgresError
from tradingsite.postgres.account import is_root
from tradingsite.postgres.place import find_place

pytestmark = pytest.mark.processes
ROOT = Path(__file__).resolve().parent.parent.parent
SESSION = """
import sys
from pathlib import Path
from tradingsite.postgres import Cluster
with Cluster(Path(sys.argv[1]), durable=False).session():
    print("in", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of the test's own, in a folder that every user can reach."""
    with folder() as home, discarded(home / "postgres") as made:
        yield made


def ask(cluster: Cluster, query: str) -> object:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]


def store(cluster: Cluster) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")


def kill(pid: int | None) -> None:
    """Kill a server the hard way and wait until it is gone."""
    assert pid is not None
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    process.wait(10)


def is_gone(pid: int) -> bool:
    """Count a dead process as gone before its parent has collected it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Visitor:
    """Another process that holds a session."""

    def __init__(self, cluster: Cluster) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SESSION, str(cluster.home)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "in\n"

    def leave(self) -> None:
        self.process.communicate("\n", timeout=120)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=120)


def test_it_starts_once_and_stops(cluster: Cluster) -> None:
    assert not cluster.status().running
    assert not cluster.stop()
    url = cluster.ensure_running()
    first = cluster.status()
    assert cluster.ensure_running() == url
    assert cluster.status() == first
    assert ask(cluster, "SELECT current_setting('TimeZone')") == "UTC"
    assert cluster.stop()
    assert not cluster.status().running
    assert first.pid is not None
    assert is_gone(first.pid)


def test_it_comes_back_with_its_data_after_kill_9(cluster: Cluster) -> None:
    cluster.ensure_running()
    store(cluster)
    killed = cluster.status().pid
    kill(killed)
    assert not cluster.answers()
    cluster.ensure_running()
    assert cluster.status().pid != killed
    assert ask(cluster, "SELECT value FROM kept") == 7


def test_a_pid_file_that_names_a_stranger_is_not_believed(cluster: Cluster) -> None:
    cluster.ensure_running()
    kill(cluster.status().pid)
    pid_file = cluster.status().data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    cluster.ensure_running()
    assert cluster.status().running
    assert cluster.status().pid != os.getpid()


def test_an_interrupted_first_start_leaves_nothing_that_looks_whole(cluster: Cluster) -> None:
    place = find_place(cluster.home)
    place.prepare()
    half = place.data.with_name("data.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    cluster.ensure_running()
    assert not half.exists()


def test_the_last_session_out_stops_what_a_session_started(cluster: Cluster) -> None:
    with cluster.session():
        visitor = Visitor(cluster)
        assert cluster.status().sessions == 2
    assert cluster.answers()
    visitor.leave()
    assert not cluster.answers()


def test_a_killed_session_does_not_count(cluster: Cluster) -> None:
    with cluster.session():
        visitor = Visitor(cluster)
        visitor.kill()
        assert cluster.status().running
    assert not cluster.answers()


def test_a_session_leaves_a_server_alone_that_was_there_before(cluster: Cluster) -> None:
    cluster.ensure_running()
    with cluster.session(), cluster.session():
        assert cluster.answers()
    assert cluster.answers()


def test_many_who_come_at_once_share_one_server(cluster: Cluster) -> None:
    code = (
        "import sys; from pathlib import Path; from tradingsite.postgres import Cluster\n"
        "c = Cluster(Path(sys.argv[1]), durable=False); c.ensure_running(); print(c.status().pid)"
    )
    command = [sys.executable, "-c", code, str(cluster.home)]
    crowd = [subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) for _ in range(4)]
    pids = {visitor.communicate(timeout=180)[0].strip() for visitor in crowd}
    assert pids == {str(cluster.status().pid)}


def test_over_tcp_it_wants_a_password() -> None:
    with folder() as home, discarded(home / "postgres", tcp=True) as cluster, cluster.session():
        assert ask(cluster, "SELECT 7") == 7
        address = {**cluster.address(), "password": "wrong", "dbname": "trading"}
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(" ".join(f"{key}={value}" for key, value in address.items()))


def test_a_long_path_gets_a_short_socket() -> None:
    with (
        folder() as home,
        discarded(home / ("d" * 60) / ("e" * 60) / "postgres") as deep,
        deep.session(),
    ):
        assert ask(deep, "SELECT 7") == 7


@pytest.mark.skipif(not is_root(), reason="only root has to change user")
def test_root_runs_it_as_another_user_also_where_that_user_can_not_go() -> None:
    with folder(reachable=False) as home, discarded(home / "postgres") as cluster, cluster.session():
        data = cluster.status().data
        assert not data.is_relative_to(home)
        assert psutil.Process(cluster.status().pid).uids().real == data.stat().st_uid != 0
        assert ask(cluster, "SELECT 7") == 7


@pytest.mark.skipif(not is_root(), reason="only root can give a folder away")
def test_root_runs_it_as_the_user_who_owns_the_data() -> None:
    import pwd  # not on Windows

    with folder() as home, discarded(home / "postgres") as cluster:
        with cluster.session():
            place = find_place(cluster.home)
        nobody = pwd.getpwnam("nobody")
        for path in (place.home, *place.home.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        find_place.cache_clear()
        with cluster.session():
            assert psutil.Process(cluster.status().pid).uids().real == nobody.pw_uid
        made_by_root = [path for path in (place.home, *place.home.iterdir()) if path.stat().st_uid == 0]
        assert made_by_root == []


def test_what_keeps_it_from_starting_is_said(cluster: Cluster) -> None:
    cluster.ensure_running()
    cluster.stop()
    with (cluster.status().data / "postgresql.conf").open("a") as file:
        file.write("frog = on\n")
    with pytest.raises(PostgresError, match='unrecognized configuration parameter "frog"'):
        cluster.ensure_running()


def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PostgresError, match="can't use"):
        Cluster(tmp_path / "file" / "postgres").ensure_running()
