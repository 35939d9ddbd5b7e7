"""A packed model is whole or not there."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import bentoml
import pytest

from marmita.registry import packed_model
from marmita.registry.champions import champion, promote
from marmita.registry.packed_model import PackedModel
from tests.registry.repacking import repack


def test_a_tag_holds_everything_and_shows_its_score(champions: dict[str, PackedModel]) -> None:
    for name, packed in champions.items():
        assert {"compiled.onnx", "contract.json", "card.json", "reference.json", "model.yaml"} <= {
            file.name for file in packed.path.iterdir()
        }
        stored = bentoml.models.get(packed.tag)
        assert stored.info.labels["task"]
        assert stored.info.metadata["value"] == packed.card.headline.value
        assert stored.info.metadata["verdict"]
        assert packed.card.model == name
        assert packed.card.compiled_difference <= 1e-4


def test_a_champion_that_was_deleted_is_none(champions: dict[str, PackedModel], empty_store: Path) -> None:
    packed = repack(champions["wine_quality"])
    promote(packed)
    bentoml.models.delete(packed.tag)

    assert champion("wine_quality") is None


def test_a_failed_packing_leaves_nothing(champions: dict[str, PackedModel], empty_store: Path) -> None:
    from bentoml.models import ModelContext

    def full_disk(folder: Path) -> None:
        (folder / "half").write_bytes(b"x" * 1000)
        raise OSError(28, "No space left on device")

    old = champions["wine_quality"]
    with pytest.raises(OSError, match="No space left"):
        packed_model.save(
            "wine_quality",
            native=full_disk,
            module="",
            context=ModelContext(framework_name="", framework_versions={}),
            compiled=b"",
            contract=old.contract,
            card=old.card,
            reference={},
            labels={},
        )

    assert bentoml.models.list() == []
    assert list((empty_store.parent / "tmp").iterdir()) == []


def test_a_killed_run_leaves_no_half_tag(champions: dict[str, PackedModel], empty_store: Path) -> None:
    """Killed where BentoML's own saving would already have made the tag's folder: while the store is written."""
    old = champions["wine_quality"]
    script = f"""
        import os, shutil, signal
        from pathlib import Path
        from bentoml.models import ModelContext
        from marmita.registry import packed_model
        from marmita.registry.card import Card

        def killed(source, target, **_):
            Path(target, "half").write_text("")
            os.kill(os.getpid(), signal.SIGKILL)

        shutil.copytree = killed
        card = Card.model_validate_json(Path({str(old.path / "card.json")!r}).read_text())
        packed_model.save("wine_quality", native=lambda folder: None, module="", compiled=b"", contract={{}}, card=card,
                   context=ModelContext(framework_name="", framework_versions={{}}), reference={{}}, labels={{}})
    """
    environment = os.environ | {"BENTOML_HOME": str(empty_store.parent), "TMPDIR": str(empty_store.parent)}

    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)

    assert killed.returncode == -signal.SIGKILL
    assert bentoml.models.list() == []
    left = sorted(path.suffix for path in (empty_store.parent / "tmp").glob("packing-*"))
    assert left == ["", ".lock"]
    packed = repack(old)
    assert [str(model.tag) for model in bentoml.models.list()] == [packed.tag]
    assert list((empty_store.parent / "tmp").glob("packing-*")) == []


def test_the_native_model_loads_as_bentoml_loads_it(champions: dict[str, PackedModel]) -> None:
    model = bentoml.sklearn.load_model(champions["wine_quality"].tag)

    assert model.predict([[7.4, 0.7, 0, 1.9, 0.076, 11, 34, 0.9978, 3.51, 0.56, 9.4]]).shape == (1,)
