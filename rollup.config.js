// The published code as few files. V8 takes a `const` or function of the same module for what it is and
// inlines it; one that is imported it looks up on every call. With a getter per header field that is a third
// of the time of a packet (docs/architecture.md, Speed). Tests run the unbundled files of dist/src.

import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";

const { dependencies, peerDependencies } = JSON.parse(
  readFileSync(new URL("package.json", import.meta.url), "utf8"),
);
const packages = Object.keys({ ...dependencies, ...peerDependencies });

/**
 * A chunk exports copies of its constants, functions and classes. What a module itself exports V8 keeps in a
 * cell, which every use inside the module reads and checks as well.
 */
const exportCopies = {
  name: "export-copies",
  renderChunk: (code) => ({
    code: code.replace(/^export \{ (.+) \};$/m, (_, list) => {
      const pairs = list.split(", ").map((pair) => pair.split(" as "));
      const copies = pairs.map(([name], i) => `exported$${i} = ${name}`);
      const names = pairs.map(([name, as = name], i) => `exported$${i} as ${as}`);
      return `const ${copies.join(", ")};\nexport { ${names.join(", ")} };`;
    }),
    map: null,
  }),
};

export default {
  input: {
    index: "dist/src/index.js",
    "cli/main": "dist/src/cli/main.js",
    "cli/topology-hooks": "dist/src/cli/topology-hooks.js",
  },
  output: {
    dir: "dist/lib",
    format: "es",
    // import.meta.url of the command's files must stay in cli/.
    chunkFileNames: "cli/[name]-[hash].js",
    // The whole emulator in one file; the command's parts are loaded when they are asked for.
    manualChunks: (id) => (/\/dist\/src\/(?!cli\/)/.test(id) ? "emulator" : undefined),
    generatedCode: "es2015",
    // vnetem bench --profile says in which file a function of the bundle stands.
    sourcemap: true,
    sourcemapExcludeSources: true,
  },
  plugins: [exportCopies],
  external: (id) =>
    id.startsWith("node:") ||
    builtinModules.includes(id) ||
    packages.some((p) => id === p || id.startsWith(`${p}/`)),
  onwarn(warning, warn) {
    // Files of one folder may name each other's types and classes; order of evaluation is not in question.
    if (warning.code !== "CIRCULAR_DEPENDENCY") warn(warning);
  },
};
