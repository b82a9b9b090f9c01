// An AF_PACKET socket on one end of a veth (net/packet/af_packet.c): what the other end sends comes in, and
// what we send arrives there. The socket is ours alone, so the device is as before when we end, however we
// end. The kernel leaves checksums and segmentation to the device (CHECKSUM_PARTIAL, GSO); with
// PACKET_VNET_HDR it says so in a struct virtio_net_hdr before each frame, and we do that work (offload.ts)
// without touching the device's settings. A tag that the kernel has taken out of the frame is lost.
// Absent: rings, fan-out.

import { AttachError } from "./attach-error.ts";
import { type Libc, SystemCallError } from "./libc.ts";
import type { NetworkNamespace } from "./netns.ts";
import { finishOffload, VNET_HDR } from "./offload.ts";
import type { Poller } from "./poller.ts";
import type { Wire, WireEnd } from "./wire.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const ETH_P_ALL = 3;
const SOCKADDR_LL = 20;
const PACKET_MREQ = 16;
const FRAME_MAX = 65_536 + VNET_HDR;
const EAGAIN = 11;
const ENETDOWN = 100;
/** Frames read before others have their turn. */
const BUDGET = 64;

export class PacketWire implements Wire {
  readonly name: string;
  readonly configured = false;
  private readonly libc: Libc;
  private readonly poller: Poller;
  private readonly fd: number;
  private readonly frame = new Uint8Array(FRAME_MAX);
  /** A virtio_net_hdr of zeros, which asks for nothing, and the frame. */
  private readonly out = new Uint8Array(FRAME_MAX);

  /** @throws AttachError when the device is not there, or the right is missing */
  constructor(libc: Libc, poller: Poller, namespace: NetworkNamespace, device: string) {
    this.libc = libc;
    this.poller = poller;
    this.name = `packet socket on ${device}`;
    this.fd = namespace.inside(() => {
      const index = libc.deviceIndex(device);
      if (index === 0) throw new AttachError(`there is no interface ${device}`);
      return openOn(libc, index, device);
    });
  }

  open(end: WireEnd, enter: (work: () => void) => void): void {
    this.poller.add(this.fd, () => {
      let n = this.libc.read(this.fd, this.frame);
      if (n === -EAGAIN) return false;
      if (n <= 0) {
        // The device went down; when it goes for good, the socket hears no more than that.
        if (n === -ENETDOWN) {
          end.say(`${this.name}: the interface is down`);
          return true;
        }
        this.poller.remove(this.fd);
        end.lost(`${this.name}: ${this.libc.errnoName(-n)}`);
        return false;
      }
      enter(() => {
        for (let left = BUDGET; n > 0; n = --left > 0 ? this.libc.read(this.fd, this.frame) : 0)
          finishOffload(this.frame.subarray(0, n), (frame) => end.receive(frame));
      });
      return true;
    });
  }

  send(bytes: Uint8Array, at: number, length: number): boolean {
    this.out.set(bytes.subarray(at, at + length), VNET_HDR);
    return this.libc.write(this.fd, this.out, VNET_HDR + length) === VNET_HDR + length;
  }

  flush(): void {}

  close(): void {
    this.poller.remove(this.fd);
    this.libc.close(this.fd);
  }
}

function openOn(libc: Libc, index: number, device: string): number {
  let fd = -1;
  try {
    // Protocol 0 hears nothing until it is bound to the one device.
    fd = libc.socket(AF_PACKET, SOCK_RAW, 0);
    const one = new Uint8Array(Int32Array.of(1).buffer);
    libc.setOption(fd, SOL_PACKET, PACKET_VNET_HDR, one);
    libc.setOption(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, one);
    const address = new Uint8Array(SOCKADDR_LL);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL);
    view.setInt32(4, index, true);
    libc.bind(fd, address);
    const membership = new Uint8Array(PACKET_MREQ);
    new DataView(membership.buffer).setInt32(0, index, true);
    new DataView(membership.buffer).setUint16(4, PACKET_MR_PROMISC, true);
    libc.setOption(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership);
    return fd;
  } catch (e) {
    if (fd >= 0) libc.close(fd);
    if (!(e instanceof SystemCallError)) throw e;
    if (e.code === "EPERM") throw new AttachError("a packet socket needs root or CAP_NET_RAW");
    throw new AttachError(`cannot open a packet socket on ${device}: ${e.message}`);
  }
}
