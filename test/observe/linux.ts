// What Linux printed (linux.txt, written by lab.sh), and the namespaces of lab.sh in the emulation. In
// linux.txt sections begin with "# " and commands with "$ ".

import { RouteProtocol, type RouteSpec, RouteType } from "../../src/ip/fib.ts";
import { Kernel } from "../../src/node/kernel.ts";
import { walkNames } from "../../src/observe/names.ts";
import { type ShowWhat, show, showJson } from "../../src/observe/show.ts";
import { pingOpen } from "../../src/socket/open.ts";
import { pingSend } from "../../src/socket/ping.ts";
import { SocketKind } from "../../src/socket/sockets.ts";
import { Walk } from "../../src/walk/walk.ts";
import { parseMac } from "../../src/wire/address.ts";
import { golden, ip } from "./kit.ts";

const text = golden("linux.txt");

/** Output of a command in a section, as lab.sh ran it: namespace and command line. */
export function linux(section: string, command: string): string {
  const from = text.indexOf(`# ${section}\n`);
  if (from < 0) throw new Error(`no section "${section}" in linux.txt`);
  const rest = text.slice(from + 2);
  const end = rest.search(/^# /m);
  const all = end < 0 ? rest : rest.slice(0, end);
  const head = `$ ip netns exec ${command}\n`;
  const at = all.indexOf(head);
  if (at < 0) throw new Error(`no command "${command}" in section "${section}"`);
  const output = all.slice(at + head.length);
  const next = output.search(/^\$ /m);
  return next < 0 ? output : output.slice(0, next);
}

/** The namespaces of lab.sh. */
export class Lab {
  readonly k = new Kernel({ seed: 1, frames: 64, largeFrames: 1, frameBytes: 2048 });
  readonly walk = new Walk(this.k);
  readonly n0 = this.k.addNamespace("n0", -1);
  readonly a = this.k.addNamespace("a", this.n0);
  readonly b = this.k.addNamespace("b", this.n0);
  readonly azure0: number;
  readonly azva: number;
  readonly azvb: number;
  readonly ve0: number;
  readonly ve1: number;

  constructor() {
    const { link } = this.walk;
    this.azure0 = link.bridges.add(this.n0, "azure0");
    this.azva = link.addVeth(this.n0, "azva", this.a, "eth0");
    this.azvb = link.addVeth(this.n0, "azvb", this.b, "eth0");
    this.ve1 = link.addVeth(this.n0, "ve1", this.n0, "ve0");
    this.ve0 = this.k.dev.peer[this.ve1];
    const macs = [
      [this.ve0, "02:00:00:00:0e:00"],
      [this.ve1, "02:00:00:00:0e:01"],
      [this.azva, "02:00:00:00:0a:01"],
      [this.azvb, "02:00:00:00:0b:01"],
      [this.peer(this.azva), "02:00:00:00:0a:02"],
      [this.peer(this.azvb), "02:00:00:00:0b:02"],
    ] as const;
    for (const [d, text] of macs) link.setMac(d, parseMac(text)!.hi, parseMac(text)!.lo);
    link.bridges.addPort(this.azure0, this.azva);
    link.bridges.addPort(this.azure0, this.azvb);
  }

  peer(d: number): number {
    return this.k.dev.peer[d];
  }

  up(...devices: number[]): void {
    for (const d of devices) this.k.setUp(d, true);
  }

  upAll(): void {
    this.up(this.azure0, this.azva, this.azvb, this.ve0, this.peer(this.azva), this.peer(this.azvb));
  }

  address(d: number, text: string, length: number): void {
    this.k.addAddress(d, ip(text), length, 0);
  }

  addAddresses(): void {
    this.address(this.azure0, "10.224.0.4", 16);
    this.address(this.azure0, "10.224.0.9", 16);
    this.address(this.azure0, "192.168.7.1", 32);
    this.address(this.peer(this.azva), "10.224.0.35", 16);
    this.address(this.peer(this.azvb), "10.224.0.36", 16);
  }

  addRoutes(): void {
    const { fib } = this.walk.ip;
    const type = RouteType.UNICAST;
    const gateway = ip("10.224.0.4");
    fib.add({ ns: this.a, dst: 0, length: 0, type, dev: this.peer(this.azva), gateway });
    const add = (dst: string, length: number, more: Partial<RouteSpec>): void => {
      fib.add({ ns: this.n0, dst: ip(dst), length, type, dev: this.azure0, ...more });
    };
    const dhcp = { protocol: RouteProtocol.DHCP, prefsrc: ip("10.224.0.4"), metric: 100 };
    add("0.0.0.0", 0, { gateway: ip("10.224.0.1"), ...dhcp });
    add("0.0.0.0", 0, { gateway: ip("10.224.0.2"), metric: 50 });
    add("10.224.0.35", 32, { dev: this.azva, protocol: RouteProtocol.STATIC, metric: 5 });
    add("10.224.0.35", 32, { dev: this.azva });
    add("10.244.0.0", 24, { type: RouteType.BLACKHOLE, dev: -1 });
    add("10.244.1.0", 24, { type: RouteType.UNREACHABLE, dev: -1, metric: 9 });
    add("10.244.2.0", 24, { type: RouteType.PROHIBIT, dev: -1 });
    add("10.244.0.0", 16, { gateway: ip("10.224.0.7") });
    add("10.0.0.0", 8, { prefsrc: ip("10.224.0.9") });
    add("10.224.128.0", 17, { dev: this.azvb });
    add("0.0.0.0", 8, { gateway: ip("10.224.0.7") });
  }

  ping(...to: string[]): void {
    const sock = pingOpen(this.walk.sock, this.a, { kind: SocketKind.SCRIPT });
    for (const address of to) pingSend(this.walk.sock, sock, ip(address), { seq: 1 });
    this.walk.drain();
  }

  show(ns: number, what: ShowWhat): string {
    return show(this.walk, ns, what, walkNames(this.walk));
  }

  json(ns: number, what: ShowWhat): object[] {
    return showJson(this.walk, ns, what, walkNames(this.walk));
  }
}
