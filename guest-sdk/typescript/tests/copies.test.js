// What scripts find in tests is what they find on the platform: the module's own sources, over other natives.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const COPIED = ["arguments", "errors", "state", "variables", "resources", "runs", "sql", "publish", "objects", "readable-json", "describe", "sandmill"];

test("the module is that of the runtime", () => {
  for (const name of COPIED) {
    const [here, there] = [`../src/runtime/${name}.js`, `../../../runtimes/javascript/js/${name}.js`].map((path) =>
      readFileSync(new URL(path, import.meta.url), "utf8"),
    );
    assert.equal(here, there, `src/runtime/${name}.js is a copy: copy it again`);
  }
});
