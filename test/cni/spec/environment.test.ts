// Environment and CNI_ARGS against SPEC.md 1.1.0, section 2.

import test from "ava";
import { parseArgs, unknownArgs } from "../../../src/cni/spec/args.ts";
import { type Command, type Environment, parseEnvironment } from "../../../src/cni/spec/environment.ts";
import { CniError } from "../../../src/cni/spec/error.ts";

const full: Environment = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "0123456789ab",
  CNI_NETNS: "/run/netns/blue",
  CNI_IFNAME: "eth0",
};

function refusal(env: Environment): CniError {
  try {
    parseEnvironment(env);
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error("accepted");
}

const NEEDED: [Command, string[]][] = [
  ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]],
  ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
  ["GC", []],
  ["STATUS", []],
  ["VERSION", []],
];

for (const [command, needed] of NEEDED) {
  test(`A8.89 S2 ${command} needs ${needed.join(", ") || "no more"}, else code 4`, (t) => {
    for (const name of Object.keys(full).filter((n) => n !== "CNI_COMMAND")) {
      const env = { ...full, CNI_COMMAND: command, [name]: undefined };
      if (!needed.includes(name)) {
        t.is(parseEnvironment(env).command, command);
        continue;
      }
      const error = refusal(env);
      t.is(error.code, 4);
      t.regex(error.message, new RegExp(`${name} is missing`));
    }
    t.is(parseEnvironment({ ...full, CNI_COMMAND: command }).command, command);
  });
}

test("every bad variable is named at once", (t) => {
  const error = refusal({ CNI_COMMAND: "ADD", CNI_CONTAINERID: "-x", CNI_IFNAME: "a/b" });
  t.is(error.code, 4);
  for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) t.regex(error.message, new RegExp(name));
});

const BAD: [string, Environment][] = [
  ["no command", { ...full, CNI_COMMAND: undefined }],
  ["empty command", { ...full, CNI_COMMAND: "" }],
  ["unknown command", { ...full, CNI_COMMAND: "UPDATE" }],
  ["command in lower case", { ...full, CNI_COMMAND: "add" }],
  ["empty container id", { ...full, CNI_CONTAINERID: "" }],
  ["container id with a slash", { ...full, CNI_CONTAINERID: "a/b" }],
  ["container id that begins with a dot", { ...full, CNI_CONTAINERID: ".a" }],
  ["container id with a blank", { ...full, CNI_CONTAINERID: "a b" }],
  ["interface name of 16 characters", { ...full, CNI_IFNAME: "a".repeat(16) }],
  ["interface name .", { ...full, CNI_IFNAME: "." }],
  ["interface name ..", { ...full, CNI_IFNAME: ".." }],
  ["interface name with a colon", { ...full, CNI_IFNAME: "eth0:1" }],
  ["interface name with a tab", { ...full, CNI_IFNAME: "eth\t0" }],
];

for (const [title, env] of BAD) test(`code 4: ${title}`, (t) => t.is(refusal(env).code, 4));

const GOOD: [string, Environment][] = [
  ["container id of one digit", { ...full, CNI_CONTAINERID: "7" }],
  ["container id with all signs", { ...full, CNI_CONTAINERID: "A_b.c-9" }],
  ["interface name of 15 characters", { ...full, CNI_IFNAME: "a".repeat(15) }],
  ["DEL without namespace", { ...full, CNI_COMMAND: "DEL", CNI_NETNS: "" }],
];

for (const [title, env] of GOOD) test(`accepted: ${title}`, (t) => t.notThrows(() => parseEnvironment(env)));

test("CNI_ARGS", (t) => {
  const kubelet = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_UID=1-2";
  const pairs = parseArgs(kubelet);
  if (typeof pairs === "string") return t.fail(pairs);
  t.is(pairs.get("K8S_POD_NAME"), "web-0");
  t.is(unknownArgs(pairs, ["K8S_POD_NAME"]), "");
  t.deepEqual(parseArgs(""), new Map());
  t.is(parseArgs("A=1;B"), 'CNI_ARGS: invalid pair "B"');
  t.is(parseArgs("A=1;"), 'CNI_ARGS: invalid pair ""');
  t.is(parseArgs("A=1=2"), 'CNI_ARGS: invalid pair "A=1=2"');
  const strict = parseArgs("A=1;B=2");
  if (typeof strict === "string") return t.fail(strict);
  t.is(unknownArgs(strict, ["A"]), "CNI_ARGS: unknown args B");
});
