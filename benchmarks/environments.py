"""Virtual environments, one for each kind of contender, with the packages that its `requirements.txt` pins."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.lineup import MARMITA, Contender
from benchmarks.places import CONTENDERS, ENVIRONMENTS, ROOT
from benchmarks.results import ContenderError, plain

UV = (sys.executable, "-m", "uv")
HERE = Path(sys.executable).parent
"""The folder of this Python, the environment of a run with `--here`."""


class Environments:
    """The environments of a run, with an error for each that could not be made."""

    def __init__(self, names: set[str], *, here: bool) -> None:
        self.made: dict[str, Path] = {}
        self.missing: dict[str, str] = {}
        for name in sorted(names):
            try:
                self.made[name] = HERE if here else _make(name)
            except ContenderError as error:
                self.missing[name] = plain(f"its environment could not be made: {error}")
                print(f"  {name}: {self.missing[name]}", flush=True)

    def __getitem__(self, name: str) -> Path:
        if name in self.missing:
            raise ContenderError(self.missing[name])
        return self.made[name]

    def versions(self, contender: Contender) -> dict[str, str]:
        """Return the versions of a contender's main packages."""
        if contender.environment in self.missing:
            return {}
        python = self.made[contender.environment] / "python"
        listed = _uv("pip", "list", "--format", "json", "--python", str(python))
        found = {package["name"]: package["version"] for package in json.loads(listed)}
        return {package: found[package] for package in sorted(contender.packages) if package in found}


def _make(name: str) -> Path:
    """Return the folder of an environment's executables. Make the environment if it is missing or out of date."""
    requirements = ROOT / "requirements" / "serve.txt" if name == MARMITA else CONTENDERS / name / "requirements.txt"
    folder = ENVIRONMENTS / name
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    made = folder / "made-from"
    if not made.exists() or made.read_text() != wanted:
        print(f"making the environment of {name}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        python = str(folder / "bin" / "python")
        _uv("pip", "install", "--python", python, "--requirement", str(requirements))
        made.write_text(wanted)
    return folder / "bin"


def _uv(*arguments: str) -> str:
    done = subprocess.run([*UV, "--quiet", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContenderError(f"uv {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
