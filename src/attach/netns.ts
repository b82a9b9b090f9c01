// Network namespaces of the kernel, behind a descriptor: one that has a name or a process, or a new one that
// lives as long as somebody holds it, so that the kernel removes it however we end.

import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { AttachError } from "./attach-error.ts";
import { type Libc, SystemCallError } from "./libc.ts";

// Not npm's PATH: packages bring programs called like the kernel's tools.
const TOOLS = { PATH: "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" };
const OURS = "/proc/thread-self/ns/net";
const NAMED = "/run/netns";

export class NetworkNamespace {
  private readonly libc: Libc;
  private readonly home: number;
  private readonly fd: number;
  /** For messages; empty for the namespace we run in. */
  readonly name: string;

  private constructor(libc: Libc, home: number, fd: number, name: string) {
    this.libc = libc;
    this.home = home;
    this.fd = fd;
    this.name = name;
  }

  /** The one we run in. */
  static ours(libc: Libc): NetworkNamespace {
    return new NetworkNamespace(libc, openSync(OURS, "r"), openSync(OURS, "r"), "");
  }

  /** @param name as `ip netns` lists it, or a path like /proc/123/ns/net @throws AttachError */
  static open(libc: Libc, name: string): NetworkNamespace {
    const path = name.includes("/") ? name : `${NAMED}/${name}`;
    if (!existsSync(path)) throw new AttachError(`there is no network namespace ${path}`);
    const found = new NetworkNamespace(libc, openSync(OURS, "r"), openSync(path, "r"), name);
    found.mustEnter();
    return found;
  }

  /** A new one without a name. @throws AttachError */
  static create(libc: Libc): NetworkNamespace {
    const home = openSync(OURS, "r");
    try {
      libc.unshareNetwork();
    } catch (e) {
      closeSync(home);
      throw refused(e, "a network namespace");
    }
    const fd = openSync(OURS, "r");
    libc.enterNetwork(home);
    const made = new NetworkNamespace(libc, home, fd, "new");
    made.tool("ip", ["link", "set", "lo", "up"]);
    return made;
  }

  /** A path that `ip` takes where it wants a namespace. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /** Runs synchronous work inside. */
  inside<T>(work: () => T): T {
    // We are there; entering even that needs a right.
    if (this.name === "") return work();
    this.libc.enterNetwork(this.fd);
    try {
      return work();
    } finally {
      this.libc.enterNetwork(this.home);
    }
  }

  /** Runs a tool inside, with lines on its stdin. @throws AttachError with what it said */
  tool(command: string, args: readonly string[], lines: readonly string[] = []): string {
    const options = { input: lines.join("\n"), encoding: "utf8", env: TOOLS } as const;
    const r = this.inside(() => spawnSync(command, args, options));
    if (r.error !== undefined) throw new AttachError(`cannot run ${command}: ${r.error.message}`);
    if (r.status === 0) return r.stdout;
    const [said] = r.stderr.trim().split("\n");
    throw new AttachError(`${command} says: ${said}`);
  }

  /** Starts a program inside. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    return this.inside(() => spawn(command, [...args], options));
  }

  /** What nobody else holds goes, with everything in it. */
  close(): void {
    closeSync(this.fd);
    closeSync(this.home);
  }

  private mustEnter(): void {
    try {
      this.inside(() => {});
    } catch (e) {
      this.close();
      throw refused(e, `the network namespace ${this.name}`);
    }
  }
}

function refused(e: unknown, what: string): unknown {
  if (!(e instanceof SystemCallError)) return e;
  if (e.code === "EPERM") return new AttachError(`${what} needs root or CAP_SYS_ADMIN`);
  return new AttachError(`cannot enter ${what}: ${e.message}`);
}
