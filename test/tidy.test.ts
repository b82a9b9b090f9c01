import { readFileSync } from "node:fs";
import test from "ava";

test("package.json names the package", (t) => {
  const pkg = JSON.parse(readFileSync("package.json", "utf8"));
  t.is(pkg.name, "vnetem");
});
