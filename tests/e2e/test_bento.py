"""The Bento: what is in it, and that it serves where nothing else is."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import httpx
import pytest
import yaml

from marmita.registry.packed_model import PackedModel
from tests.e2e.server import BENTOML, ROOT, Server, environment, home, metric_samples, serve, until
from tests.packed_tables import NUMBERS, pack_table
from tests.samples import REQUESTS, SCORE, wines
from tests.stores import using_store


def bentoml(*arguments: str, home: Path, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [BENTOML, *arguments], cwd=cwd, env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(champions: dict[str, PackedModel], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with the built Bento in it, and its tag."""
    folder = home(tmp_path_factory.mktemp("built") / "home")
    output = bentoml("build", "--output", "tag", home=folder)
    return folder, output.strip().removeprefix("__tag__:")


@pytest.fixture(scope="module")
def elsewhere(built: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Another home, as on another machine, that got the Bento as a file and has no model of its own."""
    folder, tag = built
    other = tmp_path_factory.mktemp("elsewhere")
    bentoml("export", tag, str(other / "marmita.bento"), home=folder)
    bentoml("import", str(other / "marmita.bento"), home=other / "home")
    return other / "home", tag


@pytest.fixture(scope="module")
def serving_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bentoml` of an environment that has what the Bento asks for and nothing else."""
    folder = tmp_path_factory.mktemp("serving-only") / "venv"
    uv = [sys.executable, "-m", "uv"]
    requirements = ROOT / "requirements" / "serve.txt"
    subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], cwd=ROOT, check=True)
    install = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "--require-hashes"]
    subprocess.run([*install, "--requirement", str(requirements)], cwd=ROOT, check=True)
    return folder / "bin" / "bentoml"


def test_it_holds_the_champions_and_the_configuration(
    built: tuple[Path, str], champions: dict[str, PackedModel]
) -> None:
    folder, tag = built
    bento = folder / "bentos" / tag.replace(":", "/")
    described = yaml.safe_load((bento / "bento.yaml").read_text())

    packed = {model["tag"] for service in described["services"] for model in service["models"]}
    assert packed == {champion.tag for champion in champions.values()}
    files = {str(path.relative_to(bento / "src")) for path in (bento / "src").rglob("*") if path.is_file()}
    assert {"service.py", "LICENSE", "configuration.yaml", "requirements/serve.txt"} <= files
    left_out = ("training", "tests", ".venv", "marmita/shepherd", "marmita/training")
    assert not [file for file in files if file.startswith(left_out)]
    assert yaml.safe_load((bento / "apis" / "openapi.yaml").read_text())["paths"][SCORE]


@pytest.mark.parametrize("topology", ["colocated", "split"])
def test_it_serves_from_an_empty_folder(
    elsewhere: tuple[Path, str], champions: dict[str, PackedModel], serving_only: Path, tmp_path: Path, topology: str
) -> None:
    """On another machine, with only its own requirements installed."""
    folder, _ = elsewhere
    with serve(folder, "marmita:latest", cwd=tmp_path, bentoml=str(serving_only), MARMITA_TOPOLOGY=topology) as server:
        for route, request in REQUESTS.items():
            answers = httpx.post(f"{server.url}{route}", json=request(3)).json()
            assert {answer["model"] for answer in answers} <= {champion.tag for champion in champions.values()}
        assert len(server.workers("Marmita")) == 2
        assert len(server.workers("StockForecast")) == (1 if topology == "split" else 0)
        assert len(httpx.get(f"{server.url}/models").json()["models"]) == 3


def test_it_serves_what_it_was_built_with_whatever_is_champion_now(
    built: tuple[Path, str], champions: dict[str, PackedModel], tmp_path: Path
) -> None:
    folder, tag = built
    other = tmp_path / "home"
    (other / "models").mkdir(parents=True)
    for champion in champions.values():
        home_of_model = other / "models" / champion.name
        home_of_model.mkdir()
        (home_of_model / champion.version).symlink_to(champion.path)
        (home_of_model / "champion").write_text("another")
    (other / "bentos").symlink_to(folder / "bentos")

    with serve(other, tag, cwd=tmp_path) as server:
        (answer,) = httpx.post(f"{server.url}{SCORE}", json=wines(1)).json()

    assert answer["model"] == champions["wine_quality"].tag


@pytest.fixture
def unpacked(built: tuple[Path, str], tmp_path: Path) -> Path:
    """The Bento as it lies in an image: a folder that has its models in it."""
    folder, tag = built
    bentoml("export", tag, f"{tmp_path}/bento.tar", home=folder)
    (tmp_path / "bento").mkdir()
    with tarfile.open(tmp_path / "bento.tar") as archive:
        archive.extractall(tmp_path / "bento", filter="data")
    return tmp_path / "bento"


async def test_it_takes_up_the_champions_of_a_store_if_it_is_told_to(
    unpacked: Path, champions: dict[str, PackedModel], tmp_path: Path
) -> None:
    """A store that is empty at first, as that of a new installation."""
    champion = champions["wine_quality"]
    models = tmp_path / "home" / "models" / champion.name
    models.mkdir(parents=True)

    def served() -> str:
        (answer,) = httpx.post(f"{server.url}{SCORE}", json=wines(1)).json()
        return str(answer["model"])

    with serve(tmp_path / "home", str(unpacked), cwd=tmp_path, MARMITA_FOLLOW_STORE="True") as server:
        assert served() == champion.tag
        promoted = repacked(champion, models, "promoted")
        await until(lambda: served() == promoted, within_s=20)
    with serve(tmp_path / "home", str(unpacked), cwd=tmp_path, MARMITA_FOLLOW_STORE="True") as server:
        assert served() == promoted

    (models / "promoted" / "compiled.onnx").write_bytes(b"damaged")
    with serve(tmp_path / "home", str(unpacked), cwd=tmp_path, MARMITA_FOLLOW_STORE="True") as server:
        assert served() == champion.tag
        await until(lambda: 1 in metric_samples(server, "marmita_champion_rejected").values(), within_s=20)
        assert f"{promoted} is damaged" in server.log.read_text()


def repacked(packed: PackedModel, models: Path, version: str) -> str:
    """Put the same model into a store as another version, and make it the champion there."""
    shutil.copytree(packed.path, models / version)
    described = models / version / "model.yaml"
    described.write_text(described.read_text().replace(packed.version, version))
    (models / "champion").write_text(version)
    return f"{packed.name}:{version}"


def marmita_bento(home: Path, *model: str) -> tuple[str, Path]:
    """Build a Bento with `marmita bento`: its tag, and its folder."""
    done = subprocess.run(
        [sys.executable, "-m", "marmita", "bento", *model],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tag = done.stdout.splitlines()[-1].removeprefix("Built ")
    return tag, home / "bentos" / tag.replace(":", "/")


def packed_in(bento: Path) -> set[str]:
    described = yaml.safe_load((bento / "bento.yaml").read_text())
    return {model["tag"] for service in described["services"] for model in service["models"]}


def code_of(bento: Path) -> set[str]:
    return {path.relative_to(bento / "src").as_posix() for path in (bento / "src").rglob("*.py")}


def test_the_command_builds_the_same_bento(
    built: tuple[Path, str], champions: dict[str, PackedModel], own_home: Path
) -> None:
    folder, tag = built
    same, bento = marmita_bento(own_home)

    assert same.startswith("marmita:")
    assert packed_in(bento) == {champion.tag for champion in champions.values()}
    assert code_of(bento) == code_of(folder / "bentos" / tag.replace(":", "/"))


@pytest.mark.parametrize("name", ["fetal_health", "wine_quality", "stock_forecast"])
def test_each_model_has_a_bento_of_its_own(champions: dict[str, PackedModel], own_home: Path, name: str) -> None:
    """It holds its own model and code, and neither another's nor what trains and loads."""
    tag, bento = marmita_bento(own_home, name)

    assert tag.startswith(f"{name}:")
    assert packed_in(bento) == {champions[name].tag}
    files = code_of(bento)
    models = {file.split("/")[1].removesuffix(".py") for file in files if file.startswith("bentos/")}
    assert models == {"__init__", name}
    assert not [file for file in files if file.endswith("traffic.py")]
    assert {file.split("/")[0] for file in files} == {"bentos", "marmita"}
    assert (bento / "README.md").read_text()


def test_one_models_bento_serves_it_alone(champions: dict[str, PackedModel], own_home: Path, tmp_path: Path) -> None:
    marmita_bento(own_home, "wine_quality")

    with serve(own_home, "wine_quality:latest", cwd=tmp_path) as server:
        (answer,) = httpx.post(f"{server.url}{SCORE}", json=wines(1)).json()
        (listed,) = httpx.get(f"{server.url}/models").json()["models"]
        paths = httpx.get(f"{server.url}/docs.json").json()["paths"]

    assert answer["model"] == listed["tag"] == champions["wine_quality"].tag
    assert {path for path in paths if path in REQUESTS} == {SCORE}


def test_a_bento_without_a_champion_names_the_model_and_is_not_built(tmp_path: Path) -> None:
    for model in ([], ["stock_forecast"]):
        done = subprocess.run(
            [sys.executable, "-m", "marmita", "bento", *model],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert f"python -m training.{model[0] if model else 'fetal_health'}" in done.stderr
        assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("bentos/*/*"))


@pytest.fixture
def with_tables(champions: dict[str, PackedModel], tmp_path: Path) -> Path:
    """A home whose store has two table models beside the champions."""
    store = tmp_path / "home" / "models"
    store.mkdir(parents=True)
    for packed in champions.values():
        (store / packed.name).symlink_to(packed.path.parent)
    with using_store(store):
        pack_table("churn", NUMBERS)
        pack_table("price", NUMBERS)
    return store.parent


def ask_table(server: Server, name: str) -> httpx.Response:
    return httpx.post(f"{server.url}/models/{name}/predict", json={"rows": [{"x": 1, "y": 2}]})


def test_a_table_model_has_a_bento_of_its_own(with_tables: Path, tmp_path: Path) -> None:
    tag, bento = marmita_bento(with_tables, "churn")
    assert tag.startswith("churn:")
    assert not [file for file in code_of(bento) if file.startswith("bentos/") and file != "bentos/__init__.py"]

    elsewhere = tmp_path / "elsewhere"
    bentoml("export", tag, f"{tmp_path}/churn.bento", home=with_tables)
    bentoml("import", f"{tmp_path}/churn.bento", home=elsewhere)
    with serve(elsewhere, "churn:latest", cwd=tmp_path) as server:
        assert ask_table(server, "churn").json()[0]["value"] == 3
        assert ask_table(server, "price").status_code == 404
        assert [one["name"] for one in httpx.get(f"{server.url}/models").json()["models"]] == ["churn"]


def test_table_models_are_packed_beside_those_with_code(with_tables: Path, tmp_path: Path) -> None:
    tag, _ = marmita_bento(with_tables, "--tables", "price")
    with serve(with_tables, tag, cwd=tmp_path) as server:
        assert ask_table(server, "price").json()[0]["value"] == 3
        assert ask_table(server, "churn").status_code == 404
        assert len(httpx.get(f"{server.url}/models").json()["models"]) == 4
