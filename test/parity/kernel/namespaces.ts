// Network namespaces of one case. They have no name: each lives exactly as long as our descriptor, so the
// kernel itself removes namespace, devices and rules when a case closes it or the process dies, by whatever
// signal. Only --keep gives names (vne<pid>-...), for people who want to look inside; the next start
// removes those of dead processes, no others.

import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import {
  AF_INET,
  allocate,
  close,
  enterNetwork,
  ioctl,
  type NativeMemory,
  SOCK_DGRAM,
  socket,
  unshareNetwork,
} from "./libc.ts";
import { SYSTEM_ENV } from "./system-path.ts";

const NAMES_DIR = "/run/netns";
export const NAME_PREFIX = `vne${process.pid}-`;

let home = -1;

/** The namespace this thread started in. */
function homeNamespace(): number {
  if (home < 0) home = openSync("/proc/thread-self/ns/net", "r");
  return home;
}

export class Namespace {
  readonly fd: number;
  /** For messages, and the name under --keep. */
  readonly label: string;

  constructor(label: string) {
    this.label = label;
    const back = homeNamespace();
    unshareNetwork();
    this.fd = openSync("/proc/thread-self/ns/net", "r");
    enterNetwork(back);
  }

  /** A path the ip tool accepts where it wants a namespace. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /** Runs synchronous work, child processes included, inside the namespace. */
  inside<T>(work: () => T): T {
    const back = homeNamespace();
    enterNetwork(this.fd);
    try {
      return work();
    } finally {
      enterNetwork(back);
    }
  }

  /** Runs a tool inside; its stdout. A failure throws with the tool's words and the line it stumbled over. */
  tool(command: string, args: string[], input = ""): string {
    const options = { input, encoding: "utf8", maxBuffer: 64 << 20, env: SYSTEM_ENV } as const;
    const r = this.inside(() => spawnSync(command, args, options));
    if (r.error) throw r.error;
    if (r.status !== 0) {
      const said = `${r.stderr}${r.stdout}`.trim();
      throw new Error(`${command} ${args.join(" ")} in ${this.label} failed: ${said}\n${numbered(input)}`);
    }
    return r.stdout;
  }

  /** Many ip(8) commands in one process. */
  ip(lines: string[]): void {
    if (lines.length > 0) this.tool("ip", ["-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** Writes /proc/sys entries, dotted names: it shows those of the calling thread's namespace. */
  sysctl(values: Iterable<readonly [key: string, value: string | number]>): void {
    this.inside(() => {
      for (const [key, value] of values)
        writeFileSync(`/proc/sys/${key.replaceAll(".", "/")}`, String(value));
    });
  }

  readSysctl(key: string): string {
    return this.inside(() => readFileSync(`/proc/sys/${key.replaceAll(".", "/")}`, "utf8").trim());
  }

  /** Gives the namespace a name that `ip netns exec` finds; it then outlives us until removeLeftovers(). */
  keep(): void {
    const path = `${NAMES_DIR}/${NAME_PREFIX}${this.label}`;
    mkdirSync(NAMES_DIR, { recursive: true });
    writeFileSync(path, "");
    const r = spawnSync("mount", ["--bind", this.path, path], { encoding: "utf8", env: SYSTEM_ENV });
    if (r.status !== 0) throw new Error(`cannot keep ${path}: ${r.stderr.trim()}`);
  }

  close(): void {
    closeSync(this.fd);
  }
}

function numbered(text: string): string {
  return text
    .split("\n")
    .map((line, i) => `${String(i + 1).padStart(4)}  ${line}`)
    .join("\n");
}

/** Removes kept namespaces whose process is gone; the number removed. */
export function removeLeftovers(): number {
  if (!existsSync(NAMES_DIR)) return 0;
  let removed = 0;
  for (const name of readdirSync(NAMES_DIR)) {
    const pid = /^vne(\d+)-/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    spawnSync("umount", [`${NAMES_DIR}/${name}`], { env: SYSTEM_ENV });
    rmSync(`${NAMES_DIR}/${name}`, { force: true });
    removed++;
  }
  return removed;
}

// ----------------------------------------------------------------------------- device ioctls, per namespace

const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCETHTOOL = 0x8946;
const IFREQ_LEN = 40;
const IFF_UP = 1 << 0;
const IFF_RUNNING = 1 << 6;
/** Checksums first: without them the kernel drops scatter-gather and segmentation by itself. */
const ETHTOOL_SET = {
  rxChecksum: 0x15,
  txChecksum: 0x17,
  scatterGather: 0x19,
  tso: 0x1f,
  gso: 0x24,
  gro: 0x2c,
};

let request: NativeMemory | null = null;

/** An ifreq followed by eight bytes its pointer may point at. */
function deviceRequest(device: string): NativeMemory {
  request ??= allocate(IFREQ_LEN + 8);
  request.bytes.fill(0);
  request.bytes.write(device, 0, 15, "latin1");
  return request;
}

/** Turns every offload of the devices off: bytes on the wire are then those a cable would carry. */
export function offloadsOff(namespace: Namespace, devices: string[]): void {
  namespace.inside(() => {
    const fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (const device of devices) {
      for (const command of Object.values(ETHTOOL_SET)) {
        const r = deviceRequest(device);
        r.bytes.writeBigUInt64LE(r.address + BigInt(IFREQ_LEN), 16);
        r.bytes.writeUInt32LE(command, IFREQ_LEN);
        const errno = ioctl(fd, SIOCETHTOOL, r.address);
        if (errno !== 0 && command === ETHTOOL_SET.txChecksum)
          throw new Error(`cannot turn checksum offload off on ${device}: errno ${errno}`);
      }
    }
    close(fd);
  });
}

export function linksUp(namespace: Namespace, devices: string[]): void {
  namespace.inside(() => {
    const fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (const device of devices) {
      const r = deviceRequest(device);
      ioctl(fd, SIOCGIFFLAGS, r.address);
      r.bytes.writeUInt16LE(r.bytes.readUInt16LE(16) | IFF_UP, 16);
      const errno = ioctl(fd, SIOCSIFFLAGS, r.address);
      if (errno !== 0) throw new Error(`${namespace.label}: cannot bring ${device} up: errno ${errno}`);
    }
    close(fd);
  });
}

/** The devices that are up but not yet running (carrier and operational state come from a kernel work
 * queue). */
export function notRunning(namespace: Namespace, devices: string[]): string[] {
  return namespace.inside(() => {
    const fd = socket(AF_INET, SOCK_DGRAM, 0);
    const late = devices.filter((device) => {
      const r = deviceRequest(device);
      if (ioctl(fd, SIOCGIFFLAGS, r.address) !== 0) return false;
      const flags = r.bytes.readUInt16LE(16);
      return (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) === 0;
    });
    close(fd);
    return late;
  });
}
