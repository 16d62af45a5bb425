"""The virtual environment, Node's modules, the built pages, the browser: made when stale. Standard library only."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from config.steps import StepFailed, Steps, run

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
FRONTEND = ROOT / "frontend"
DIST = FRONTEND / "dist"
EXTRAS = {"run": ("ml", "embedded", "node"), "dev": ("ml", "embedded", "node", "dev")}
BUILT_FROM = ("src", "public", "index.html", "package-lock.json", "vite.config.ts", "tsconfig.json")


class Checkout:
    """Each method makes sure of one thing and is quick when it already holds."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.python = VENV / "bin" / "python"

    def variables(self) -> dict[str, str]:
        """The environment for what comes next: the virtual environment's programs first."""
        path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        # Node trusts its own list of certificates; a network that inspects traffic has its one in the system's.
        return {"NODE_USE_SYSTEM_CA": "1", **os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV)}

    def run(self) -> None:
        """Python packages that the product needs."""
        self._packages("run")

    def dev(self) -> None:
        """These and the tools of `make test` and `make check`."""
        self._packages("dev")

    def modules(self) -> None:
        """Node's modules, exactly those of the lock file; Node itself comes from PyPI."""
        if not (FRONTEND / "package.json").is_file():
            return
        stamp = Stamp(
            FRONTEND / "node_modules" / ".preceptor", FRONTEND, ["package.json", "package-lock.json"]
        )
        if stamp.is_fresh():
            return
        npm: list[str | Path] = [VENV / "bin" / "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        self.steps.run("Node packages", npm, folder=FRONTEND, environment=self.variables())
        stamp.write()

    def pages(self) -> None:
        """The built front end, with compressed copies beside each file."""
        if not (FRONTEND / "package.json").is_file():
            self.steps.say("  - Pages: frontend/package.json is missing, so they are not built")
            return
        stamp = Stamp(DIST / ".preceptor", FRONTEND, BUILT_FROM)
        if stamp.is_fresh():
            return
        self.modules()
        with self.steps.step("Pages"):
            run(
                "Pages", [VENV / "bin" / "npm", "run", "build"], folder=FRONTEND, environment=self.variables()
            )
            run("Pages", [self.python, "-m", "whitenoise.compress", "-q", DIST], folder=ROOT)
        stamp.write()

    def browser(self) -> None:
        """Chromium and a font with Chinese characters, for the browser tests; by apt where we are root."""
        if os.environ.get("PRECEPTOR_SKIP_BROWSER") == "1":
            return
        fonts = ["fonts-noto-cjk"] if shutil.which("fc-list") is None or not self._has_chinese() else []
        wanted = [*([] if chromium() else ["chromium"]), *fonts]
        may_install = os.geteuid() == 0 and shutil.which("apt-get")
        if wanted and may_install:
            quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            with self.steps.step(f"System: {' '.join(wanted)}"):
                run("apt-get update", ["apt-get", "update", "-q"], folder=ROOT, environment=quiet)
                install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted]
                run("apt-get install", install, folder=ROOT, environment=quiet)
        if not chromium():
            raise StepFailed(
                "The browser tests need Chromium on PATH. Install it, or leave them out by name:\n"
                "    PRECEPTOR_SKIP_BROWSER=1 make test"
            )

    def clean(self) -> None:
        """Remove what was built here. The data folder is never touched."""
        for folder in (
            DIST,
            FRONTEND / "node_modules",
            *ROOT.glob(".*_cache"),
            ROOT / ".hypothesis",
            ROOT / ".peers",
            VENV,
        ):
            if folder.exists():
                with self.steps.step(f"Remove {folder.relative_to(ROOT)}"):
                    shutil.rmtree(folder)

    def _packages(self, level: str) -> None:
        stamps = {
            name: Stamp(VENV / f".preceptor-{name}", ROOT, ["pyproject.toml", "constraints.txt"], sys.version)
            for name in EXTRAS
        }
        if stamps[level].is_fresh() or stamps["dev"].is_fresh():
            return
        if not self.python.exists():
            with self.steps.step("Virtual environment"):
                self._make_venv()
        with self.steps.step("Python packages"):
            Installer(self.python, self.steps.say).install(requirements(EXTRAS[level]))
        stamps[level].write()

    def _make_venv(self) -> None:
        try:
            run("Virtual environment", [sys.executable, "-m", "venv", VENV], folder=ROOT)
        except StepFailed as failed:
            shutil.rmtree(VENV, ignore_errors=True)
            if "ensurepip" in str(failed):
                minor = sys.version_info.minor
                raise StepFailed(
                    f"Python's venv module is not complete. Install python3.{minor}-venv."
                ) from None
            raise

    def _has_chinese(self) -> bool:
        return bool(run("Fonts", ["fc-list", ":lang=zh", "family"], folder=ROOT).strip())


def chromium() -> str | None:
    """The browser's path: PRECEPTOR_CHROMIUM, else from PATH."""
    named = os.environ.get("PRECEPTOR_CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser", "google-chrome"]
    return next((path for path in map(shutil.which, names) if path), None)


def requirements(extras: Iterable[str]) -> list[str]:
    """The direct dependencies as pyproject.toml names them, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = list(project["dependencies"])
    for extra in extras:
        found += project["optional-dependencies"][extra]
    return found


# What installs constraints.txt is no package of it, so its version stands here.
UV = "uv==0.13.9"


class Installer:
    """uv if it can be had (ten times faster), else pip; torch for the CPU where no GPU is."""

    def __init__(self, python: Path, say: Callable[[str], None]) -> None:
        self.python = python
        self.say = say
        self.uv = python.with_name("uv")

    def install(self, wanted: list[str]) -> None:
        """Bring `wanted` in, held to constraints.txt. Raises StepFailed with what the last way said."""
        what = ["-c", str(ROOT / "constraints.txt"), *wanted]
        bridge = self._pip_settings()
        if self._have_uv():
            command: list[str | Path] = [self.uv, "pip", "install", "-q", "--python", self.python, *what]
            for further, otherwise in self._ways(
                bridge.get("UV_FIND_LINKS", os.environ.get("UV_FIND_LINKS", ""))
            ):
                try:
                    self._call([*command, *further], **bridge)
                except StepFailed as failed:
                    self.say(f"  ! uv {' '.join(further)}: {_last_line(failed)}\n    Now with {otherwise}")
                    continue
                return
        self._call([self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *what])

    def _ways(self, links: str) -> list[tuple[list[str], str]]:
        """Options of uv to try in turn, each with a word on what comes if it fails.

        PyPI's torch for Linux brings 2.7 GB of CUDA; PyTorch's own index has the small one, but may be out of
        reach. A network that inspects traffic has its certificate in the system's store, where uv looks if told.
        """
        tag = f"cp3{sys.version_info.minor}-"
        has_torch = any(
            tag in wheel.name for link in links.split(",") for wheel in Path(link).glob("torch-*.whl")
        )
        backend = "auto" if shutil.which("nvidia-smi") else "cpu"
        index = "the package index's torch, which brings 2.7 GB of CUDA on Linux"
        small = [] if has_torch else [([f"--torch-backend={backend}"], index)]
        return [*small, ([], "the system's certificates"), (["--system-certs"], "pip, which is slower")]

    def _have_uv(self) -> bool:
        if self.uv.exists():
            return True
        try:
            self._call([self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", UV])
        except StepFailed:
            return False
        return self.uv.exists()

    def _pip_settings(self) -> dict[str, str]:
        """What pip was told about where packages are, as uv's variables: uv reads none of it by itself."""
        result = subprocess.run(  # noqa: S603
            [str(self.python), "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
        )
        told = dict(re.findall(r"^(?:global|install)\.([a-z-]+)='(.*)'$", result.stdout, re.MULTILINE))
        bridge = {
            "find-links": "UV_FIND_LINKS",
            "index-url": "UV_DEFAULT_INDEX",
            "extra-index-url": "UV_INDEX",
        }
        found = {}
        for option, variable in bridge.items():
            value = os.environ.get(f"PIP_{option.upper().replace('-', '_')}") or told.get(option, "")
            if value and not os.environ.get(variable):
                separator = "," if option == "find-links" else " "
                found[variable] = separator.join(value.replace("\\n", " ").split())
        if "UV_INDEX" in found:
            found["UV_INDEX_STRATEGY"] = (
                "unsafe-best-match"  # As pip does: whichever index has the pinned version.
            )
        return found

    @staticmethod
    def _call(command: list[str | Path], **changes: str) -> None:
        run("Python packages", command, folder=ROOT, environment={**os.environ, **changes})


class Stamp:
    """Remembers, beside what a step made, the hash of what it was made from."""

    def __init__(self, place: Path, root: Path, sources: Iterable[str], also: str = "") -> None:
        self.place = place
        digest = hashlib.sha256(also.encode())
        for path in _files(root, sources):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        self.digest = digest.hexdigest()

    def is_fresh(self) -> bool:
        """True when what was made still fits its sources."""
        return self.place.is_file() and self.place.read_text() == self.digest

    def write(self) -> None:
        """Say that it was made now."""
        self.place.write_text(self.digest)


def _last_line(failed: StepFailed) -> str:
    return (str(failed).strip().splitlines() or [""])[-1].strip()[:200]


def _files(root: Path, names: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    for name in names:
        path = root / name
        found += [path] if path.is_file() else sorted(inner for inner in path.rglob("*") if inner.is_file())
    return found
