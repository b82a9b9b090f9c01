// Network namespaces without a name: each lives as long as our descriptor, so the kernel itself removes it,
// its devices and its rules when the process ends, however it ends.

import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import type { Libc } from "./libc.ts";
import { KernelUnavailable } from "./unavailable.ts";

// Not npm's PATH: packages bring programs called like the kernel's tools.
const TOOL_DIRS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"];
const TOOL_ENV = { PATH: TOOL_DIRS.join(":"), LC_ALL: "C" };
/** The calling thread's namespace; tools are given the process's. */
const OURS = "/proc/thread-self/ns/net";

export function hasTool(name: string): boolean {
  return TOOL_DIRS.some((dir) => existsSync(`${dir}/${name}`));
}

export class Namespace {
  private readonly libc: Libc;
  private readonly home: number;
  private readonly fd: number;

  constructor(libc: Libc) {
    this.libc = libc;
    this.home = openSync(OURS, "r");
    libc.unshareNetwork();
    this.fd = openSync(OURS, "r");
    libc.enterNetwork(this.home);
  }

  /** A path the ip tool takes where it wants a namespace. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /** Runs synchronous work, child processes included, inside the namespace. */
  inside<T>(work: () => T): T {
    this.libc.enterNetwork(this.fd);
    try {
      return work();
    } finally {
      this.libc.enterNetwork(this.home);
    }
  }

  /** Runs a tool inside, with lines on its stdin. */
  tool(command: string, args: string[], lines: readonly string[]): void {
    const options = { input: `${lines.join("\n")}\n`, encoding: "utf8", env: TOOL_ENV } as const;
    const r = this.inside(() => spawnSync(command, args, options));
    if (r.status === 0) return;
    const [said] = (r.error?.message ?? `${r.stderr}${r.stdout}`).trim().split("\n");
    throw new KernelUnavailable(`cannot build its path, ${command} says: ${said}`);
  }

  /** Dotted names under /proc/sys, which shows those of the thread's namespace. */
  sysctl(values: Readonly<Record<string, number>>): void {
    this.inside(() => {
      for (const [key, value] of Object.entries(values)) {
        const path = `/proc/sys/${key.replaceAll(".", "/")}`;
        if (!existsSync(path))
          throw new KernelUnavailable(`needs ${key}: modprobe br_netfilter nf_conntrack`);
        writeFileSync(path, String(value));
      }
    });
  }

  /** The UDP counters of /proc/net/snmp by name. */
  udpCounters(): Record<string, number> {
    const text = this.inside(() => readFileSync("/proc/thread-self/net/snmp", "utf8"));
    const [names, values] = text.split("\n").filter((line) => line.startsWith("Udp: "));
    const numbers = values.split(" ");
    return Object.fromEntries(names.split(" ").map((name, i) => [name, Number(numbers[i])]));
  }

  /** The descriptors go; the kernel removes what nobody holds. */
  close(): void {
    closeSync(this.fd);
    closeSync(this.home);
  }
}
