"""Wheel, sdist and editable install work outside the repository, with all that belongs in them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "dist", "build")


def run(*command: object, cwd: Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, so that building leaves nothing behind in it."""
    copy = tmp_path_factory.mktemp("source") / "repo"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    return copy


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, cwd=source)
    return folder


def environment(folder: Path, what: list[object]) -> Path:
    """A virtual environment with ``what`` installed, and this one's dependencies in reach (no network)."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    )
    # A path in a .pth file is searched for packages, but its own .pth files (an editable install) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        *what,
        cwd=folder,
    )
    return python


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_install_judges_the_reference(kind: str, built: Path, source: Path, tmp_path: Path) -> None:
    what: dict[str, list[object]] = {
        "wheel": [next(built.glob("*.whl"))],
        "sdist": [next(built.glob("*.tar.gz"))],
        "editable": ["-e", source],
    }
    python = environment(tmp_path / "venv", what[kind])
    empty = tmp_path / "empty"
    empty.mkdir()
    where = run(python, "-c", "import pytest_cronsession as p; print(p.__file__)", cwd=empty)
    assert (str(tmp_path / "venv") in where) == (kind != "editable")
    assert str(ROOT) not in where
    out = run(python, "-m", "pytest", "--cronsession-target=reference", "-k", "CS-RES-006", cwd=empty)
    assert "1 passed" in out
    help_text = run(python.parent / "cronsession-gateway", "--help", cwd=empty)
    assert "cron" in help_text


def test_the_wheel_holds_what_belongs_in_it(built: Path) -> None:
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    for needed in (
        "pytest_cronsession/specs/requirements.json",
        "pytest_cronsession/specs/protocol.md",
        "pytest_cronsession/specs/schemas/protocol.schema.json",
        "pytest_cronsession/suite/test_session_keys.py",
        "pytest_cronsession/py.typed",
        "cronsession_reference/py.typed",
        "cronsession_reference/gateway.py",
    ):
        assert needed in names
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {
        "pytest_cronsession",
        "cronsession_reference",
    }
