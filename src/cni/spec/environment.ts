// The parameters of one execution, from environment variables (SPEC.md 1.1.0, section 2, "Parameters";
// azure.md S2). Which command needs which follows the sections of the commands; allowed characters follow
// pkg/utils of libcni. CNI_PATH is never required here: the plugins are inside this program.

import { CniCode, CniError } from "./error.ts";

export const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"] as const;
export type Command = (typeof COMMANDS)[number];

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Invocation {
  command: Command;
  /** Empty where the command does not need it. */
  containerId: string;
  netns: string;
  ifname: string;
  /** CNI_ARGS as it stood. */
  args: string;
  path: string;
}

const REQUIRED: Readonly<Record<Command, readonly string[]>> = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  GC: [],
  STATUS: [],
  VERSION: [],
};

/** Longest interface name (IFNAMSIZ - 1). */
const IFNAME_MAX = 15;

/** Reads the environment; code 4 names every variable that is missing or bad. */
export function parseEnvironment(env: Environment): Invocation {
  const command = env.CNI_COMMAND ?? "";
  if (command === "") throw invalid(["CNI_COMMAND is missing"]);
  if (!isCommand(command)) throw invalid([`CNI_COMMAND "${command}" is none of ${COMMANDS.join(", ")}`]);
  const bad: string[] = [];
  for (const name of REQUIRED[command]) if (!env[name]) bad.push(`${name} is missing`);
  const containerId = env.CNI_CONTAINERID ?? "";
  const ifname = env.CNI_IFNAME ?? "";
  const attachment = REQUIRED[command].length > 0;
  if (attachment && containerId !== "" && !isName(containerId))
    bad.push(`CNI_CONTAINERID "${containerId}" ${NAME_RULE}`);
  const wrong = attachment && ifname !== "" ? interfaceNameProblem(ifname) : "";
  if (wrong !== "") bad.push(`CNI_IFNAME "${ifname}" ${wrong}`);
  if (bad.length > 0) throw invalid(bad);
  return {
    command,
    containerId,
    netns: env.CNI_NETNS ?? "",
    ifname,
    args: env.CNI_ARGS ?? "",
    path: env.CNI_PATH ?? "",
  };
}

/** The variables of an invocation, for a delegate that gets "the same environment". */
export function toEnvironment(call: Invocation): Record<string, string> {
  const env: Record<string, string> = { CNI_COMMAND: call.command };
  if (call.containerId !== "") env.CNI_CONTAINERID = call.containerId;
  if (call.netns !== "") env.CNI_NETNS = call.netns;
  if (call.ifname !== "") env.CNI_IFNAME = call.ifname;
  if (call.args !== "") env.CNI_ARGS = call.args;
  if (call.path !== "") env.CNI_PATH = call.path;
  return env;
}

export function isCommand(text: string): text is Command {
  return (COMMANDS as readonly string[]).includes(text);
}

export const NAME_RULE = "must begin with a letter or digit and hold only letters, digits, '_', '.' and '-'";

/** Container ids and network names. */
export function isName(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text);
}

/** What is wrong with an interface name; empty when nothing is (net/core/dev.c dev_valid_name). */
export function interfaceNameProblem(name: string): string {
  if (new TextEncoder().encode(name).length > IFNAME_MAX) return `is longer than ${IFNAME_MAX} bytes`;
  if (name === "." || name === "..") return "is a directory";
  return /[/:\s]/.test(name) ? "holds a slash, colon or blank" : "";
}

function invalid(bad: readonly string[]): CniError {
  return new CniError(CniCode.INVALID_ENVIRONMENT, `invalid environment variables: ${bad.join("; ")}`);
}
