// The handful of libc calls Node lacks, through koffi, on 64-bit little-endian Linux: namespaces, raw
// sockets, device ioctls. Calls run on the calling thread, which matters: a network namespace belongs to a
// thread.

import koffi from "koffi";

const c = koffi.load("libc.so.6");

const fn = {
  socket: c.func("int socket(int domain, int type, int protocol)"),
  bind: c.func("int bind(int fd, const void *addr, uint len)"),
  listen: c.func("int listen(int fd, int backlog)"),
  connect: c.func("int connect(int fd, const void *addr, uint len)"),
  shutdown: c.func("int shutdown(int fd, int how)"),
  accept4: c.func("int accept4(int fd, void *addr, void *len, int flags)"),
  setsockopt: c.func("int setsockopt(int fd, int level, int name, const void *value, uint len)"),
  getsockopt: c.func("int getsockopt(int fd, int level, int name, void *value, void *len)"),
  send: c.func("long send(int fd, const void *bytes, size_t len, int flags)"),
  sendto: c.func(
    "long sendto(int fd, const void *bytes, size_t len, int flags, const void *addr, uint alen)",
  ),
  recvfrom: c.func("long recvfrom(int fd, void *bytes, size_t len, int flags, void *addr, void *alen)"),
  ioctl: c.func("int ioctl(int fd, ulong request, void *arg)"),
  close: c.func("int close(int fd)"),
  unshare: c.func("int unshare(int flags)"),
  setns: c.func("int setns(int fd, int kind)"),
  ifNameToIndex: c.func("uint if_nametoindex(const char *name)"),
  malloc: c.func("void *malloc(size_t n)"),
  mmap: c.func("void *mmap(void *at, size_t n, int protection, int flags, int fd, long offset)"),
  munmap: c.func("int munmap(void *at, size_t n)"),
};

export const AF_INET = 2;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SOL_PACKET = 263;
export const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const CLONE_NEWNET = 0x40000000;

/** An errno that nobody expected, with the call that returned it. */
export class SystemCallError extends Error {
  readonly errno: number;
  constructor(call: string) {
    const errno = koffi.errno();
    const name = Object.entries(koffi.os.errno).find(([, v]) => v === errno)?.[0] ?? String(errno);
    super(`${call}: ${name}`);
    this.errno = errno;
  }
}

function check(result: number, call: string): number {
  if (result < 0) throw new SystemCallError(call);
  return result;
}

export function socket(domain: number, type: number, protocol: number): number {
  return check(fn.socket(domain, type | SOCK_CLOEXEC, protocol), "socket");
}

export function bind(fd: number, address: Uint8Array): void {
  check(fn.bind(fd, address, address.length), "bind");
}

export function listen(fd: number, backlog: number): void {
  check(fn.listen(fd, backlog), "listen");
}

/** 0, or the errno: EINPROGRESS for a socket that does not wait. */
export function connect(fd: number, address: Uint8Array): number {
  return fn.connect(fd, address, address.length) < 0 ? koffi.errno() : 0;
}

/** shutdown(SHUT_WR). */
export function shutdownWrite(fd: number): void {
  check(fn.shutdown(fd, 1), "shutdown");
}

/** Bytes taken, or a negative errno. */
export function sendSome(fd: number, bytes: Uint8Array): number {
  const n = Number(fn.send(fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL));
  return n < 0 ? -koffi.errno() : n;
}

/** Bytes received, 0 at the end of the stream, or a negative errno. */
export function receiveSome(fd: number, bytes: Uint8Array): number {
  const n = Number(fn.recvfrom(fd, bytes, bytes.length, MSG_DONTWAIT, null, null));
  return n < 0 ? -koffi.errno() : n;
}

/** The new connection's descriptor, or -1 when none waits. */
export function accept(fd: number): number {
  return fn.accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/** The value is an int, or a structure of several. */
export function setOption(fd: number, level: number, name: number, ...value: number[]): void {
  const v = new Uint8Array(Int32Array.from(value).buffer);
  check(fn.setsockopt(fd, level, name, v, v.length), `setsockopt ${level}/${name}`);
}

/** The value is a name, such as that of a congestion control. */
export function setOptionText(fd: number, level: number, name: number, value: string): void {
  const v = new TextEncoder().encode(value);
  check(fn.setsockopt(fd, level, name, v, v.length), `setsockopt ${level}/${name}`);
}

export function getOption(fd: number, level: number, name: number, length: number): Buffer {
  const v = Buffer.alloc(length);
  check(fn.getsockopt(fd, level, name, v, Int32Array.of(length)), `getsockopt ${level}/${name}`);
  return v;
}

/** Sends one frame or datagram on a bound or connected socket; 0, or the errno the kernel refused it with. */
export function send(fd: number, bytes: Uint8Array): number {
  return fn.send(fd, bytes, bytes.length, 0) < 0 ? koffi.errno() : 0;
}

export function sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): number {
  return fn.sendto(fd, bytes, bytes.length, 0, address, address.length) < 0 ? koffi.errno() : 0;
}

/** Bytes received into `bytes` and the sender into `address` (a 16-byte sockaddr_in); -1 when none wait or
 * on error. */
export function receiveFrom(fd: number, bytes: Uint8Array, address: Uint8Array): number {
  const len = new Uint8Array([address.length, 0, 0, 0]);
  return Number(fn.recvfrom(fd, bytes, bytes.length, MSG_DONTWAIT, address, len));
}

export function ioctl(fd: number, request: number, arg: Uint8Array | bigint): number {
  return fn.ioctl(fd, request, arg) < 0 ? koffi.errno() : 0;
}

export function close(fd: number): void {
  fn.close(fd);
}

// Fewer than koffi lets run at a time.
const CLOSING = 32;
const toClose: number[] = [];
let closing = 0;

/**
 * In another thread: the kernel waits for all its readers before a packet socket is gone. Not by node:fs,
 * which warns in worker threads about descriptors it has not opened.
 */
export function closeLater(fd: number): void {
  toClose.push(fd);
  closeSome();
}

function closeSome(): void {
  for (; closing < CLOSING && toClose.length > 0; closing++) {
    fn.close.async(toClose.pop(), () => {
      closing--;
      closeSome();
    });
  }
}

/** Moves the calling thread into a new, empty network namespace. */
export function unshareNetwork(): void {
  check(fn.unshare(CLONE_NEWNET), "unshare");
}

/** Moves the calling thread into the network namespace behind a descriptor. */
export function enterNetwork(fd: number): void {
  check(fn.setns(fd, CLONE_NEWNET), "setns");
}

/** 0 when the current namespace has no such device. */
export function deviceIndex(name: string): number {
  return fn.ifNameToIndex(name);
}

/** Memory outside the JavaScript heap, whose address may be handed to the kernel inside a structure. */
export interface NativeMemory {
  address: bigint;
  bytes: Buffer;
}

export function allocate(length: number): NativeMemory {
  const address = fn.malloc(length) as bigint;
  const bytes = Buffer.from(koffi.view(address, length));
  bytes.fill(0);
  return { address, bytes };
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

/** Memory a socket shares with the kernel. */
export function mapShared(fd: number, length: number): NativeMemory {
  const address = fn.mmap(null, length, PROT_READ_WRITE, MAP_SHARED, fd, 0) as bigint;
  if (address === MAP_FAILED) throw new SystemCallError("mmap");
  return { address, bytes: Buffer.from(koffi.view(address, length)) };
}

/** The bytes must not be touched any more. */
export function unmap(memory: NativeMemory): void {
  check(fn.munmap(memory.address, memory.bytes.length), "munmap");
}

/** sockaddr_in, network byte order inside. */
export function inetAddress(ip: string, port: number): Uint8Array {
  const a = new Uint8Array(16);
  a[0] = AF_INET;
  a[2] = port >> 8;
  a[3] = port & 255;
  a.set(ip.split(".").map(Number), 4);
  return a;
}
