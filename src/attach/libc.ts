// The libc calls that Node lacks, through koffi, on 64-bit little-endian Linux: namespaces, TAP devices,
// packet sockets. koffi is optional: it is loaded when something asks for it. Calls run on the calling
// thread, to which a network namespace belongs; only poll() waits in another.

import { AttachError } from "./attach-error.ts";

const CLONE_NEWNET = 0x40000000;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

type Koffi = typeof import("koffi")["default"];
type Call = (...args: unknown[]) => number;

/** An errno with the call that returned it. */
export class SystemCallError extends Error {
  readonly errno: number;
  /** "EPERM". */
  readonly code: string;

  constructor(call: string, errno: number, code: string) {
    super(`${call}: ${code}`);
    this.errno = errno;
    this.code = code;
  }
}

export class Libc {
  private readonly koffi: Koffi;
  private readonly c: {
    open: Call;
    close: Call;
    read: Call;
    write: Call;
    ioctl: Call;
    eventfd: Call;
    poll: { async: (...args: unknown[]) => void };
    unshare: Call;
    setns: Call;
    ifNameToIndex: Call;
    socket: Call;
    bind: Call;
    setsockopt: Call;
  };

  private constructor(koffi: Koffi) {
    const c = koffi.load("libc.so.6");
    this.koffi = koffi;
    this.c = {
      open: c.func("int open(const char *path, int flags)"),
      close: c.func("int close(int fd)"),
      read: c.func("long read(int fd, void *bytes, size_t length)"),
      write: c.func("long write(int fd, const void *bytes, size_t length)"),
      ioctl: c.func("int ioctl(int fd, ulong request, void *arg)"),
      eventfd: c.func("int eventfd(uint value, int flags)"),
      poll: c.func("int poll(void *fds, ulong count, int timeout)"),
      unshare: c.func("int unshare(int flags)"),
      setns: c.func("int setns(int fd, int kind)"),
      ifNameToIndex: c.func("uint if_nametoindex(const char *name)"),
      socket: c.func("int socket(int domain, int type, int protocol)"),
      bind: c.func("int bind(int fd, const void *address, uint length)"),
      setsockopt: c.func("int setsockopt(int fd, int level, int name, const void *value, uint length)"),
    };
  }

  /** @throws AttachError without koffi */
  static async load(): Promise<Libc> {
    try {
      return new Libc((await import("koffi")).default);
    } catch (e) {
      const [why] = (e as Error).message.split("\n");
      throw new AttachError(`needs the package koffi to call libc: npm install koffi (${why})`);
    }
  }

  /** A descriptor for reading and writing that never waits. @throws SystemCallError */
  open(path: string): number {
    return this.check("open", this.c.open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  }

  close(fd: number): void {
    this.c.close(fd);
  }

  /** Bytes read, or a negative errno. */
  read(fd: number, into: Uint8Array): number {
    const n = this.c.read(fd, into, into.length);
    return n < 0 ? -this.koffi.errno() : n;
  }

  /** Bytes written, or a negative errno. */
  write(fd: number, bytes: Uint8Array, length: number): number {
    const n = this.c.write(fd, bytes, length);
    return n < 0 ? -this.koffi.errno() : n;
  }

  /** @throws SystemCallError */
  ioctl(fd: number, name: string, request: number, arg: Uint8Array): void {
    this.check(name, this.c.ioctl(fd, request, arg));
  }

  /** @throws SystemCallError */
  eventfd(): number {
    return this.check("eventfd", this.c.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  }

  /**
   * Waits in another thread until one of the struct pollfd is ready. They must stay as they are until then.
   */
  poll(fds: Uint8Array, count: number, then: () => void): void {
    this.c.poll.async(fds, count, -1, then);
  }

  /** Moves the calling thread into a new, empty network namespace. @throws SystemCallError */
  unshareNetwork(): void {
    this.check("unshare", this.c.unshare(CLONE_NEWNET));
  }

  /** Moves the calling thread into the network namespace behind a descriptor. @throws SystemCallError */
  enterNetwork(fd: number): void {
    this.check("setns", this.c.setns(fd, CLONE_NEWNET));
  }

  /** 0 when the thread's namespace has no such device. */
  deviceIndex(name: string): number {
    return this.c.ifNameToIndex(name);
  }

  /** A socket that does not wait. @throws SystemCallError */
  socket(domain: number, type: number, protocol: number): number {
    return this.check("socket", this.c.socket(domain, type | O_NONBLOCK | O_CLOEXEC, protocol));
  }

  /** @throws SystemCallError */
  bind(fd: number, address: Uint8Array): void {
    this.check("bind", this.c.bind(fd, address, address.length));
  }

  /** The value is a structure, or an int as its four bytes. @throws SystemCallError */
  setOption(fd: number, level: number, name: number, value: Uint8Array): void {
    this.check("setsockopt", this.c.setsockopt(fd, level, name, value, value.length));
  }

  /** "ENOBUFS" of 105. */
  errnoName(errno: number): string {
    return Object.entries(this.koffi.os.errno).find(([, n]) => n === errno)?.[0] ?? String(errno);
  }

  private check(call: string, result: number): number {
    if (result >= 0) return result;
    const errno = this.koffi.errno();
    throw new SystemCallError(call, errno, this.errnoName(errno));
  }
}
