// Named exceptions to the tidy rules: one file, one rule, the reason. An entry that excuses nothing fails the
// tests, so the list shrinks by itself.

export interface Allowed {
  rule: string;
  path: string;
  reason: string;
}

export const ALLOWED: readonly Allowed[] = [
  {
    rule: "function length",
    path: "src/walk/walk.ts",
    reason: "the one switch that joins the stages: its cases are the map of a packet's path",
  },
  {
    rule: "line width",
    path: "test/topologies/printed.ts",
    reason: "what commands print, as they print it",
  },
  {
    rule: "line width",
    path: "test/upstream/services.test.ts",
    reason: "titles are upstream's names, some of which are long",
  },
  {
    rule: "line width",
    path: "test/upstream/policies.test.ts",
    reason: "titles are upstream's names, some of which are long",
  },
  {
    rule: "line width",
    path: "test/upstream/granular.test.ts",
    reason: "titles are upstream's names, some of which are long",
  },
  {
    rule: "line width",
    path: "test/upstream/conntrack.test.ts",
    reason: "titles are upstream's names, some of which are long",
  },
  {
    rule: "line width",
    path: "test/facts/upstream.ts",
    reason: "titles are upstream's names, some of which are long",
  },
  {
    rule: "virtual time and seeded chance",
    path: "src/emulator/programs.ts",
    reason: "settle() lets Node's own event loop turn, for the programs that run on it; no time is read",
  },
  {
    rule: "virtual time and seeded chance",
    path: "src/emulator/node-socket.ts",
    reason: "socket.setTimeout() is the name node:net has; it counts virtual time",
  },
  {
    rule: "virtual time and seeded chance",
    path: "src/attach/wall-clock.ts",
    reason: "the wall clock that paces the virtual one in real time, in one file; no emulation reads it",
  },
  {
    rule: "virtual time and seeded chance",
    path: "src/attach/netns.ts",
    reason: "our process id, in the path by which other programs find a namespace of ours",
  },
  {
    rule: "import direction",
    path: "src/cli/main.ts",
    reason: "--version reads the version from package.json, which is no module",
  },
];
