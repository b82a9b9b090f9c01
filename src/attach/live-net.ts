// An emulation in real time with its wires to the real world. A wire takes the place of what is behind one
// interface, eth0 of a pod, node or VM, as a macvtap device in passthru mode does: it is given what the
// interface receives and sends on it; the emulated host behind it hears nothing any more.

import type { Host } from "../emulator/hosts.ts";
import type { Net } from "../emulator/net.ts";
import { transmitFrame } from "../socket/packet.ts";
import { AttachError } from "./attach-error.ts";
import { interfaceConfig } from "./interface-config.ts";
import { Libc } from "./libc.ts";
import { NetworkNamespace } from "./netns.ts";
import { PacketWire } from "./packet.ts";
import { Poller } from "./poller.ts";
import { RealTime } from "./real-time.ts";
import { StreamWire } from "./stream.ts";
import { TapWire } from "./tap.ts";
import type { Wire, WireEnd } from "./wire.ts";

/** Frames and bytes of a wire; `in` is into the emulation. */
export interface WireCounters {
  in: number;
  inBytes: number;
  out: number;
  outBytes: number;
  /** Frames the emulated interface refused: down, or longer than its MTU. */
  refused: number;
  /** Frames the far side did not take. */
  lost: number;
}

/** One interface of the emulation that a wire has taken over. */
export class Attachment implements WireEnd {
  /** "pod/web-0". */
  readonly host: string;
  readonly wire: Wire;
  readonly counters: WireCounters = { in: 0, inBytes: 0, out: 0, outBytes: 0, refused: 0, lost: 0 };
  /** Why it has ended by itself; null while it has not. */
  ended: string | null = null;
  /** Row of the device. */
  readonly dev: number;
  /** What it stands for, with its namespace and address. */
  readonly target: Host;
  private readonly live: LiveNet;

  constructor(live: LiveNet, host: Host, wire: Wire) {
    this.live = live;
    this.host = `${host.kind}/${host.name}`;
    this.dev = host.dev;
    this.target = host;
    this.wire = wire;
  }

  receive(frame: Uint8Array): void {
    const { counters } = this;
    const { walk } = this.live.net;
    counters.in++;
    counters.inBytes += frame.length;
    if (transmitFrame(walk.k, this.dev, frame) < 0) counters.refused++;
    walk.drain();
  }

  send(bytes: Uint8Array, at: number, length: number): void {
    const { counters } = this;
    if (!this.wire.send(bytes, at, length)) {
      counters.lost++;
      return;
    }
    counters.out++;
    counters.outBytes += length;
  }

  say(text: string): void {
    this.live.onNews(this, text);
  }

  lost(why: string): void {
    this.live.end(this, why);
  }
}

export class LiveNet {
  readonly net: Net;
  readonly time: RealTime;
  readonly attachments: Attachment[] = [];
  /** Told what happens at the far end of a wire. */
  onNews: (attachment: Attachment, text: string) => void = () => {};
  /** Told when an attachment ends by itself. */
  onEnd: (attachment: Attachment) => void = () => {};
  private readonly byDevice = new Map<number, Attachment>();
  private readonly namespaces: NetworkNamespace[] = [];
  private system: { libc: Libc; poller: Poller } | null = null;

  /** From now on the emulation runs in real time. */
  constructor(net: Net) {
    this.net = net;
    this.time = new RealTime(net);
    this.time.onRest = () => {
      for (const { wire } of this.attachments) wire.flush();
    };
    net.walk.k.outside = {
      received: (d, bytes, at, length) => this.byDevice.get(d)?.send(bytes, at, length),
      removed: (d) => {
        const attachment = this.byDevice.get(d);
        if (attachment !== undefined) this.end(attachment, `${attachment.host} was removed`);
      },
    };
  }

  /**
   * The interface's host: "pod/web-0", "vm/db", "node/n0". A host of a site is a VM.
   * @throws UnknownNameError, AttachError when something has it already
   */
  host(as: string): Host {
    const slash = as.indexOf("/");
    const kind = slash < 0 ? "" : as.slice(0, slash);
    const found = this.net.hosts.host(as.slice(slash + 1));
    if (slash >= 0 && kind !== found.kind)
      throw new AttachError(`${found.name} is a ${found.kind}: say ${found.kind}/${found.name}`);
    if (this.byDevice.has(found.dev)) throw new AttachError(`${as} is attached already`);
    return found;
  }

  /** The wire takes over the host's eth0. */
  attach(host: Host, wire: Wire): Attachment {
    const attachment = new Attachment(this, host, wire);
    this.attachments.push(attachment);
    this.byDevice.set(host.dev, attachment);
    this.net.walk.k.setOutside(host.dev, true);
    wire.open(attachment, (work) => this.time.enter(work));
    return attachment;
  }

  /**
   * A TAP device becomes the host's eth0, in a network namespace of the kernel (default: ours). One that is
   * made here gets the host's MAC, addresses and routes, with the default route when the namespace is not
   * ours.
   * @throws UnknownNameError, AttachError
   */
  async tap(device: string, as: string, namespace?: NetworkNamespace): Promise<Attachment> {
    const host = this.host(as);
    const { libc } = await this.kernel();
    return this.plugTap(device, host, namespace ?? this.hold(NetworkNamespace.ours(libc)));
  }

  /** The same for an interface of the emulation that no name of the topology has. @throws AttachError */
  async tapIn(netns: string, device: string, host: Host): Promise<Attachment> {
    const { libc } = await this.kernel();
    const namespace = NetworkNamespace.open(libc, netns);
    try {
      return await this.plugTap(device, host, namespace);
    } finally {
      // The device stays there without us.
      namespace.close();
    }
  }

  /** A wire has the interface. */
  isAttached(dev: number): boolean {
    return this.byDevice.has(dev);
  }

  private async plugTap(device: string, host: Host, where: NetworkNamespace): Promise<Attachment> {
    const { libc, poller } = await this.kernel();
    const wire = new TapWire(libc, poller, where, device);
    try {
      const lines = interfaceConfig(this.net, host, device, where.name !== "");
      if (wire.configured) where.tool("ip", ["-batch", "-"], lines);
    } catch (e) {
      wire.close();
      throw e;
    }
    return this.attach(host, wire);
  }

  /**
   * A packet socket on one end of a veth becomes the host's eth0; the other end is the interface of whoever
   * stands for the host, and is told nothing (see configuration()).
   * @throws UnknownNameError, AttachError
   */
  async packet(device: string, as: string, namespace?: NetworkNamespace): Promise<Attachment> {
    const host = this.host(as);
    const { libc, poller } = await this.kernel();
    const where = namespace ?? this.hold(NetworkNamespace.ours(libc));
    return this.attach(host, new PacketWire(libc, poller, where, device));
  }

  /**
   * A stream of Ethernet frames, as QEMU and passt speak it, becomes the host's eth0.
   * @param address path of a Unix socket, or host:port, to listen on; to connect to behind "connect:"
   * @throws UnknownNameError, AttachError
   */
  async stream(address: string, as: string): Promise<Attachment> {
    const host = this.host(as);
    const to = /^connect:(.*)$/.exec(address)?.[1];
    return this.attach(
      host,
      to === undefined ? await StreamWire.listen(address) : await StreamWire.connect(to),
    );
  }

  /**
   * What `ip` must be told at the far end of a wire that we did not configure, for an interface of this
   * name.
   */
  configuration(attachment: Attachment, device: string): string[] {
    return interfaceConfig(this.net, attachment.target, device, true);
  }

  /** A network namespace of the kernel by name or path, or a new one. @throws AttachError */
  async namespace(name?: string): Promise<NetworkNamespace> {
    const { libc } = await this.kernel();
    return this.hold(name === undefined ? NetworkNamespace.create(libc) : NetworkNamespace.open(libc, name));
  }

  /** The wire goes; its host's own stack answers again. */
  detach(attachment: Attachment): void {
    if (this.byDevice.get(attachment.dev) !== attachment) return;
    this.byDevice.delete(attachment.dev);
    this.attachments.splice(this.attachments.indexOf(attachment), 1);
    this.net.walk.k.setOutside(attachment.dev, false);
    attachment.wire.close();
  }

  end(attachment: Attachment, why: string): void {
    if (this.byDevice.get(attachment.dev) !== attachment) return;
    attachment.ended = why;
    this.detach(attachment);
    this.onEnd(attachment);
  }

  /** Everything is unplugged, and virtual time stands still. */
  close(): void {
    for (const attachment of [...this.attachments]) this.detach(attachment);
    this.time.stop();
    this.system?.poller.close();
    this.system = null;
    for (const namespace of this.namespaces.splice(0)) namespace.close();
    this.net.walk.k.outside = null;
  }

  private hold(namespace: NetworkNamespace): NetworkNamespace {
    this.namespaces.push(namespace);
    return namespace;
  }

  private async kernel(): Promise<{ libc: Libc; poller: Poller }> {
    if (this.system === null) {
      const libc = await Libc.load();
      this.system ??= { libc, poller: new Poller(libc) };
    }
    return this.system;
  }
}
