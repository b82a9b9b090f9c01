// The few libc calls the kernel path needs and Node lacks, through koffi, on 64-bit little-endian Linux.
// koffi is an optional peer: nothing else of the package needs it, so it is loaded when it is asked for.
// Calls run on the calling thread, to which a network namespace and a set of CPUs belong.

import { SOCKADDR_IN, socketAddress } from "./address.ts";
import { KernelUnavailable } from "./unavailable.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const CLONE_NEWNET = 0x40000000;
/** Bytes of a cpu_set_t. */
const CPU_SET = 128;

/** Memory outside the JavaScript heap, whose address may be handed to the kernel inside a structure. */
export interface NativeMemory {
  address: bigint;
  bytes: Buffer;
}

type Koffi = typeof import("koffi")["default"];
type Call = (...args: unknown[]) => number;

export class Libc {
  private readonly koffi: Koffi;
  private readonly unshare: Call;
  private readonly setns: Call;
  private readonly socket: Call;
  private readonly bind: Call;
  private readonly connect: Call;
  private readonly setsockopt: Call;
  private readonly sendmmsg: Call;
  private readonly sched_getcpu: Call;
  private readonly sched_getaffinity: Call;
  private readonly sched_setaffinity: Call;
  private readonly malloc: (bytes: number) => bigint;

  private constructor(koffi: Koffi) {
    const c = koffi.load("libc.so.6");
    this.koffi = koffi;
    this.unshare = c.func("int unshare(int flags)");
    this.setns = c.func("int setns(int fd, int kind)");
    this.socket = c.func("int socket(int domain, int type, int protocol)");
    this.bind = c.func("int bind(int fd, const void *addr, uint len)");
    this.connect = c.func("int connect(int fd, const void *addr, uint len)");
    this.setsockopt = c.func("int setsockopt(int fd, int level, int name, const void *value, uint len)");
    this.sendmmsg = c.func("int sendmmsg(int fd, int64 messages, uint count, int flags)");
    this.sched_getcpu = c.func("int sched_getcpu()");
    this.sched_getaffinity = c.func("int sched_getaffinity(int thread, size_t bytes, void *set)");
    this.sched_setaffinity = c.func("int sched_setaffinity(int thread, size_t bytes, const void *set)");
    this.malloc = c.func("void *malloc(size_t bytes)");
  }

  static async load(): Promise<Libc> {
    try {
      return new Libc((await import("koffi")).default);
    } catch (e) {
      const [why] = (e as Error).message.split("\n");
      throw new KernelUnavailable(`needs the package koffi to call libc: npm install koffi (${why})`);
    }
  }

  /** Moves the calling thread into a new, empty network namespace. */
  unshareNetwork(): void {
    this.check("unshare", this.unshare(CLONE_NEWNET));
  }

  /** Moves the calling thread into the network namespace behind a descriptor. */
  enterNetwork(fd: number): void {
    this.check("setns", this.setns(fd, CLONE_NEWNET));
  }

  /** A socket that takes whole IP packets to one address. The process's end closes it. */
  rawSocket(to: string): number {
    const fd = this.check("socket", this.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    this.check("connect", this.connect(fd, socketAddress(to, 0), SOCKADDR_IN));
    return fd;
  }

  /** A bound UDP socket with the smallest receive buffer. */
  udpSocket(port: number): number {
    const fd = this.check("socket", this.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    this.check("setsockopt", this.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, new Uint8Array(4), 4));
    this.check("bind", this.bind(fd, socketAddress("0.0.0.0", port), SOCKADDR_IN));
    return fd;
  }

  /** Sends `count` struct mmsghdr; how many the kernel took. */
  sendMessages(fd: number, messages: bigint, count: number): number {
    return this.check("sendmmsg", this.sendmmsg(fd, messages, count, 0));
  }

  /** Keeps the calling thread on the CPU it runs on; returns what lets it go. */
  pin(): () => void {
    const before = new Uint8Array(CPU_SET);
    this.check("sched_getaffinity", this.sched_getaffinity(0, CPU_SET, before));
    const one = new Uint8Array(CPU_SET);
    const cpu = this.check("sched_getcpu", this.sched_getcpu());
    one[cpu >> 3] = 1 << (cpu & 7);
    this.check("sched_setaffinity", this.sched_setaffinity(0, CPU_SET, one));
    return () => void this.sched_setaffinity(0, CPU_SET, before);
  }

  /** Zeroed memory that lives until the process ends. */
  allocate(length: number): NativeMemory {
    const address = this.malloc(length);
    const bytes = Buffer.from(this.koffi.view(address, length));
    bytes.fill(0);
    return { address, bytes };
  }

  private check(call: string, result: number): number {
    if (result >= 0) return result;
    const errno = this.koffi.errno();
    const name = Object.entries(this.koffi.os.errno).find(([, n]) => n === errno)?.[0];
    throw new KernelUnavailable(`cannot do without ${call}: ${name ?? errno}`);
  }
}
