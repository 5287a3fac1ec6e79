#!/usr/bin/env python3
"""Builds the components of this folder with the toolchains of their makers: `build.py --cache DIR [NAME...]` makes DIR/<name>.wasm.

Toolchains are installed into DIR/tools. What is fresh stays; what cannot be had is named. Exit codes: 0 all built, 1 a build failed,
2 bad usage, 3 a toolchain cannot be had (a line `missing: <what>` says which).
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
# Exactly this one is used: Go fetches it as a module where another is installed.
GO = "go1.26.8"
WASM_TARGET = "wasm32-wasip2"
# Downloads wait for the network while compilers have the cores.
WORKERS = 4
# Left in the folders by editors and by builds by hand.
NO_INPUT = {"__pycache__", "node_modules", "target"}
# Descriptor of the lock, once it is taken.
HELD: list[int] = []
# The end of what a command that failed wrote.
OUTPUT_LINES_MAX = 40


class Missing(Exception):
    """A toolchain cannot be had: which, and how to get it."""

    def __init__(self, what: str, how: str):
        super().__init__(what)
        self.how = how


class Failed(Exception):
    pass


def run(command: list, cwd: Path, what: str, unset=(), **variables) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {name: str(value) for name, value in variables.items()}
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    # What outlives a killed build keeps its lock, so that the next one does not write to the same places at the same time.
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, pass_fds=HELD, **streams)
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-OUTPUT_LINES_MAX:])
        raise Failed(f"{what}: exit code {done.returncode}\n{end}")


def program(name: str, how: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Missing(name, how)
    return found


class Workshop:
    """The cache folder: toolchains and a place to build in."""

    def __init__(self, cache: Path):
        self.cache = cache
        self.tools = cache / "tools"
        self.work = cache / "work"
        self.locks: dict[str, threading.Lock] = {}
        self.guard = threading.Lock()

    def tool(self, name: str, pins: Path, install: Callable[[Path], None]) -> Path:
        """A folder of DIR/tools, made once for each content of `pins`."""
        folder = self.tools / f"{name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
        with self.guard:
            lock = self.locks.setdefault(name, threading.Lock())
        with lock:
            # Virtual environments cannot be moved: a mark that is made last says that the folder is whole, instead of a rename.
            mark = folder / ".complete"
            if not mark.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                started = time.monotonic()
                install(folder)
                mark.touch()
                print(f"{name}: installed in {time.monotonic() - started:.0f} s", flush=True)
        return folder

    def jco(self) -> Path:
        pins = HERE / "js-http" / "package-lock.json"

        def install(folder: Path) -> None:
            program("node", "install Node.js 20 or newer")
            npm = program("npm", "install npm, which comes with Node.js")
            for name in ("package.json", "package-lock.json"):
                shutil.copy(pins.parent / name, folder)
            try:
                run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], folder, "npm ci")
            except Failed as error:
                raise Missing("npm packages of js-http", f"npm must reach a package registry:\n{error}") from error

        return self.tool("jco", pins, install) / "node_modules" / ".bin" / "jco"

    def python(self, name: str, pins: Path) -> Path:
        """The interpreter of a virtual environment with what `pins` names."""

        def install(folder: Path) -> None:
            try:
                run([sys.executable, "-m", "venv", folder / "venv"], folder, "python -m venv")
            except Failed as error:
                raise Missing("Python's venv", f"Debian has it as python3-venv:\n{error}") from error
            pip = [folder / "venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            try:
                run([*pip, "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", pins], folder, "pip install")
            except Failed as error:
                how = f"pip must reach it, and it must have a wheel for this machine:\n{error}"
                raise Missing(f"{name} from the Python package index", how) from error

        return self.tool(name, pins, install) / "venv/bin/python"

    def stage(self, name: str) -> Path:
        """A copy to build in, for toolchains that write beside their sources."""
        folder = self.work / name
        shutil.copytree(HERE / name, folder, ignore=shutil.ignore_patterns(*NO_INPUT))
        return folder


def javascript(shop: Workshop, name: str) -> Path:
    jco = shop.jco()
    stage = shop.stage(name)
    run([jco, "componentize", "app.js", "--wit", "wit", "--world-name", "handler", "--out", "out.wasm"], stage, "jco componentize")
    return stage / "out.wasm"


def python_component(world: str, packages: tuple[str, ...] = ()) -> Callable:
    def build(shop: Workshop, name: str) -> Path:
        python = shop.python("componentize-py", HERE / name / "requirements.txt")
        stage = shop.stage(name)
        for package in packages:
            shutil.copytree(REPOSITORY / "wit" / package, stage / "wit/deps" / package)
        componentize = [python.parent / "componentize-py", "--quiet", "--wit-path", "wit", "--world", world, "componentize", "app"]
        run([*componentize, "--output", "out.wasm"], stage, "componentize-py")
        return stage / "out.wasm"

    return build


def rust(artefact: str) -> Callable:
    # What tests set for their own build is not for this one.
    unset = ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR")

    def build(shop: Workshop, name: str) -> Path:
        cargo = program("cargo", "install Rust with rustup")
        rustc = program("rustc", "install Rust with rustup")
        ask = [rustc, "--print", "target-libdir", "--target", WASM_TARGET]
        libraries = subprocess.run(ask, stdout=subprocess.PIPE, text=True).stdout.strip()
        if not libraries or not any(Path(libraries).glob("libstd*.rlib")):
            how = f"`rustup target add {WASM_TARGET}`, or `cargo xtask setup` where Rust's servers are out of reach"
            raise Missing(f"the Rust target {WASM_TARGET}", how)
        manifest = HERE / name / "Cargo.toml"
        try:
            run([cargo, "fetch", "--quiet", "--locked", "--target", WASM_TARGET, "--manifest-path", manifest], HERE, "cargo fetch", unset)
        except Failed as error:
            raise Missing(f"crates of {name}", f"cargo must reach a package registry:\n{error}") from error
        # One target folder for all, as most of their dependencies are the same.
        target = shop.cache / "tools" / "cargo-target"
        options = ["--quiet", "--release", "--locked", "--target", WASM_TARGET, "--manifest-path", manifest, "--target-dir", target]
        run([cargo, "build", *options], HERE, "cargo build", unset)
        return target / WASM_TARGET / "release" / artefact

    return build


def adapted(shop: Workshop, stage: Path) -> Path:
    """A command's core module as a component."""
    run([shop.jco(), "new", "core.wasm", "--wasi-command", "--output", "out.wasm"], stage, "jco new")
    return stage / "out.wasm"


def go(shop: Workshop, name: str) -> Path:
    compiler = program("go", f"install Go 1.21 or newer, which fetches {GO} itself")
    settings = {"GOTOOLCHAIN": GO, "GOOS": "wasip1", "GOARCH": "wasm", "CGO_ENABLED": "0", "GOWORK": "off"}
    settings["GOCACHE"] = str(shop.tools / "go-cache")
    try:
        run([compiler, "version"], HERE, "go version", ("GOFLAGS",), **settings)
    except Failed as error:
        raise Missing(GO, f"Go must reach a module proxy:\n{error}") from error
    stage = shop.stage(name)
    run([compiler, "build", "-trimpath", "-ldflags=-s -w", "-o", "core.wasm", "."], stage, "go build", ("GOFLAGS",), **settings)
    return adapted(shop, stage)


def c(shop: Workshop, name: str) -> Path:
    python = shop.python("ziglang", HERE / name / "requirements.txt")
    stage = shop.stage(name)
    caches = {"ZIG_GLOBAL_CACHE_DIR": shop.tools / "zig-cache", "ZIG_LOCAL_CACHE_DIR": shop.tools / "zig-cache"}
    compile = [python, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-Os", "-s", "-Wall", "-Wextra", "-Werror"]
    run([*compile, "-o", "core.wasm", "main.c"], stage, "zig cc", **caches)
    return adapted(shop, stage)


@dataclass(frozen=True)
class Recipe:
    build: Callable[[Workshop, str], Path]
    # Of the repository, beside the component's own folder: its output depends on them.
    inputs: tuple[str, ...] = ()


ADAPTER = ("tests/foreign/js-http/package-lock.json",)

# Long ones first, so that none of them is left over at the end.
RECIPES = {
    "js-http": Recipe(javascript),
    "c-command": Recipe(c, ADAPTER),
    "py-http": Recipe(python_component("handler")),
    "rust-wstd-http": Recipe(rust("rust-wstd-http.wasm")),
    "go-command": Recipe(go, ADAPTER),
    "py-script": Recipe(python_component("script", ("log", "script", "state")), ("wit/log", "wit/script", "wit/state")),
}


def digest(name: str) -> str:
    """Of all inputs that are files of the repository; this one has the flags and the versions that no other has.

    What compilers the machine has is no part of it: a cache that was filled elsewhere stays good where they are missing.
    """
    total = hashlib.sha256()
    for start in (Path(__file__), HERE / name, *(REPOSITORY / place for place in RECIPES[name].inputs)):
        start = start.resolve()
        files = sorted(start.rglob("*")) if start.is_dir() else [start]
        for file in files:
            place = file.relative_to(REPOSITORY)
            if file.is_file() and NO_INPUT.isdisjoint(place.parts):
                content = file.read_bytes()
                total.update(f"{place.as_posix()}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def make(shop: Workshop, name: str) -> None:
    output, mark = shop.cache / f"{name}.wasm", shop.cache / f"{name}.digest"
    wanted = digest(name)
    if output.is_file() and mark.is_file() and mark.read_text() == wanted:
        print(f"{name}: fresh", flush=True)
        return
    started = time.monotonic()
    built = RECIPES[name].build(shop, name)
    # The mark goes first and comes last, and both files arrive whole: whoever is killed in between leaves something to build again.
    mark.unlink(missing_ok=True)
    replace(output, built.read_bytes())
    replace(mark, wanted.encode())
    print(f"{name}: built in {time.monotonic() - started:.0f} s, {output.stat().st_size:,} bytes", flush=True)


def replace(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="components and toolchains go here")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default all: {', '.join(RECIPES)}")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(RECIPES))
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    names = [name for name in RECIPES if not options.names or name in options.names]

    shop = Workshop(options.cache.resolve())
    shop.tools.mkdir(parents=True, exist_ok=True)
    # Held until this process and all that it started end, however they end.
    with open(shop.cache / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another build in {shop.cache}", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        HELD.append(lock.fileno())
        # Left by one that was killed.
        shutil.rmtree(shop.work, ignore_errors=True)
        shop.work.mkdir()
        with ThreadPoolExecutor(WORKERS) as pool:
            tasks = {name: pool.submit(make, shop, name) for name in names}
        HELD.clear()
        shutil.rmtree(shop.work, ignore_errors=True)

    errors = {name: error for name, task in tasks.items() if (error := task.exception()) is not None}
    code = 0
    for name, error in errors.items():
        if isinstance(error, Missing):
            print(f"{name}: cannot be built here\nmissing: {error}\n{error.how}", file=sys.stderr)
            code = code or 3
        else:
            print(f"{name}: {error if isinstance(error, Failed) else repr(error)}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
