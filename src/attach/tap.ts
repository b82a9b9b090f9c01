// A TAP device of the kernel (Documentation/networking/tuntap.rst, drivers/net/tun.c). One we make belongs to
// our descriptor: the kernel removes it when we end, however we end. One that was there (`ip tuntap add`,
// which lets a user without CAP_NET_ADMIN have it) is used as it is and stays.
// Absent: several queues, offloads (IFF_VNET_HDR): the kernel segments and computes checksums itself.

import { existsSync } from "node:fs";
import { AttachError } from "./attach-error.ts";
import { type Libc, SystemCallError } from "./libc.ts";
import type { NetworkNamespace } from "./netns.ts";
import type { Poller } from "./poller.ts";
import type { Wire, WireEnd } from "./wire.ts";

const DEVICE = "/dev/net/tun";
const TUNSETIFF = 0x4004_54ca;
const IFREQ = 40;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
/** Longest name of an interface (IFNAMSIZ less its zero). */
const NAME_MAX = 15;
const FRAME_MAX = 65_536;
const EAGAIN = 11;
const EIO = 5;
/** Frames read before others have their turn. */
const BUDGET = 64;

export class TapWire implements Wire {
  readonly name: string;
  /** False: it was there before us, and is not ours to configure. */
  readonly configured: boolean;
  private readonly libc: Libc;
  private readonly poller: Poller;
  private readonly fd: number;
  private readonly frame = new Uint8Array(FRAME_MAX);
  private readonly out = new Uint8Array(FRAME_MAX);

  /** @throws AttachError when there is no TAP to be had */
  constructor(libc: Libc, poller: Poller, namespace: NetworkNamespace, device: string) {
    if (device.length > NAME_MAX || !/^[^\s/:]+$/.test(device))
      throw new AttachError(`"${device}" is no name for an interface (at most ${NAME_MAX} letters)`);
    if (!existsSync(DEVICE)) throw new AttachError(`there is no ${DEVICE}: modprobe tun`);
    this.libc = libc;
    this.poller = poller;
    this.name = `TAP device ${device}`;
    const request = new Uint8Array(IFREQ);
    request.set(new TextEncoder().encode(device));
    new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI, true);
    // The device appears in the namespace in which the descriptor was opened (tun_chr_open).
    const { fd, found } = namespace.inside(() => {
      const there = libc.deviceIndex(device) !== 0;
      const opened = openTun(libc);
      try {
        libc.ioctl(opened, "TUNSETIFF", TUNSETIFF, request);
      } catch (e) {
        libc.close(opened);
        throw refused(e, device, there);
      }
      return { fd: opened, found: there };
    });
    this.fd = fd;
    this.configured = !found;
  }

  open(end: WireEnd, enter: (work: () => void) => void): void {
    this.poller.add(this.fd, () => {
      let n = this.libc.read(this.fd, this.frame);
      if (n === -EAGAIN || n === -EIO) return false;
      if (n <= 0) {
        this.poller.remove(this.fd);
        end.lost(`${this.name} has gone`);
        return false;
      }
      enter(() => {
        for (let left = BUDGET; n > 0; n = --left > 0 ? this.libc.read(this.fd, this.frame) : 0)
          end.receive(this.frame.subarray(0, n));
      });
      return true;
    });
  }

  send(bytes: Uint8Array, at: number, length: number): boolean {
    this.out.set(bytes.subarray(at, at + length));
    return this.libc.write(this.fd, this.out, length) === length;
  }

  flush(): void {}

  close(): void {
    this.poller.remove(this.fd);
    this.libc.close(this.fd);
  }
}

function openTun(libc: Libc): number {
  try {
    return libc.open(DEVICE);
  } catch (e) {
    if (!(e instanceof SystemCallError)) throw e;
    throw new AttachError(`cannot open ${DEVICE}: ${e.code}`);
  }
}

function refused(e: unknown, device: string, there: boolean): unknown {
  return e instanceof SystemCallError ? new AttachError(reason(e, device, there)) : e;
}

function reason(e: SystemCallError, device: string, there: boolean): string {
  if (e.code === "EBUSY") return `the TAP device ${device} is in use by another program`;
  if (e.code === "EINVAL" && there) return `the name ${device} is in use, and not by a TAP device`;
  if (e.code !== "EPERM") return `cannot make the TAP device ${device}: ${e.message}`;
  if (there) return `the TAP device ${device} is another user's`;
  const made = `ip tuntap add ${device} mode tap user ...`;
  return `a TAP device needs root or CAP_NET_ADMIN, or one made for you: ${made}`;
}
