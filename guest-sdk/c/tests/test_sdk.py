"""Compiles the SDK for this machine and runs its tests, the examples and those of the README.

    python3 -m unittest discover -s guest-sdk/c/tests

CC chooses the compiler, `cc` where nothing is said. With ZIG, e.g. `ZIG="python3 -m ziglang"`, every script is compiled for wasm as well.
"""

import hashlib
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

SDK = pathlib.Path(__file__).resolve().parent.parent
SOURCES = sorted(str(source) for source in SDK.glob("src/*.c"))
FAKE = sorted(str(source) for source in SDK.glob("fake/*.c"))
FLAGS = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined", f"-I{SDK / 'include'}", f"-I{SDK / 'fake'}"]
WASM = ["-target", "wasm32-wasi", "-mexec-model=reactor", "-std=c17", "-Os", "-Wall", "-Werror", f"-I{SDK / 'include'}", "-s", "-Wl,-z,stack-size=1048576"]

# What the fake finds for the examples of the page: the first argument is `run` or `event`, the second its JSON, and it prints what comes of it.
DRIVER = """
#include "sandmill_fake.h"
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    if (count != 3) return 2;
    sandmill_fake_reset();
    sandmill_fake_variable("f/demo/region", "north");
    sandmill_fake_resource("f/demo/shop", "shop", "{\\"name\\":\\"Shop\\"}", NULL);
    sandmill_fake_resource("f/demo/warehouse", "postgresql", "{}", "[{\\"name\\":\\"a\\",\\"total\\":\\"1.50\\"}]");
    sandmill_fake_resource("f/demo/broker", "nats", "{}", NULL);
    sandmill_fake_broker("f/demo/broker", "{\\"sequence\\":1}");
    const char *args = arguments[2];
    if (strcmp(arguments[1], "event") == 0) args = sandmill_fake_preprocess(args).text;
    sandmill_result result = sandmill_fake_run(args);
    if (result.kind == SANDMILL_FAILURE) printf("%s: %s", result.name, result.text);
    else printf("%.*s", (int)result.length, result.text);
    return result.kind == SANDMILL_FAILURE;
}
"""


def command(arguments, **options):
    # The memory of a script ends with its run: what it did not free is no leak.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=False, **options)
    return done.returncode, done.stdout, done.stderr


class Sdk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def compile(self, *sources):
        program = self.folder / "program"
        compiler = shlex.split(os.environ.get("CC", "cc"))
        code, _, said = command([*compiler, *FLAGS, "-o", str(program), *sources, "-lm"])
        self.assertEqual(code, 0, said)
        return program

    def passes(self, *sources):
        code, out, said = command([str(self.compile(*sources))])
        self.assertEqual(code, 0, out + said)

    def gives(self, script, kind, args, want):
        driver = self.folder / "driver.c"
        driver.write_text(DRIVER)
        program = self.compile(str(script), str(driver), *SOURCES, *FAKE)
        code, out, said = command([str(program), "event" if kind == "event" else "run", args])
        self.assertEqual((out, code), (want, 1 if kind == "fails" else 0), said)
        if "ZIG" in os.environ:
            sources = [str(script), *SOURCES, str(SDK / "bindings/imports.c")]
            code, _, said = command([*shlex.split(os.environ["ZIG"]), "cc", *WASM, "-o", str(self.folder / "script.core.wasm"), *sources])
            self.assertEqual(code, 0, said)

    def test_bindings_are_of_this_wit(self):
        packages = sorted((SDK.parent.parent / "wit").glob("*/*.wit"))
        self.assertGreater(len(packages), 5)
        digest = hashlib.sha256(b"".join(package.read_bytes() for package in packages)).hexdigest()
        self.assertEqual((SDK / "bindings/wit.sha256").read_text().strip(), digest, "generate bindings/ anew, as the read-me says, and write this digest")

    def test_json(self):
        self.passes(str(SDK / "tests/json_test.c"), *(source for source in SOURCES if "json" in source))

    def test_calls(self):
        self.passes(str(SDK / "tests/calls_test.c"), *SOURCES, *FAKE)

    def test_examples(self):
        self.gives(SDK / "examples/hello.c", "run", '{"name":"bob"}', '{"hello":"bob","n":[2,4,6]}')
        self.gives(SDK / "examples/visits.c", "run", '{"name":"bob"}', '{"visits":1}')
        self.gives(SDK / "examples/orders.c", "run", '{"id":"7","total":3}', "1")

    def test_readme(self):
        page = (SDK / "README.md").read_text()
        examples = re.findall(r"```c\n(.*?)```\n<!-- (\w+) (.*?) -->", page, re.DOTALL)
        self.assertEqual(len(examples), page.count("```c\n"))
        for program, kind, what in examples:
            with self.subTest(what=what):
                script = self.folder / "script.c"
                script.write_text(program)
                if kind == "test":
                    self.passes(str(script), str(SDK / what), *SOURCES, *FAKE)
                else:
                    args, want = what.split(" gives ")
                    self.gives(script, kind, args, want)


if __name__ == "__main__":
    unittest.main()
