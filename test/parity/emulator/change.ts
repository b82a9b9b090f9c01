// What a case's changes do to the emulated node: the same effects kernel/build-node.ts has through the real
// tools.

import { Scope } from "../../../src/node/in-ifaddr.ts";
import { closeNamespace } from "../../../src/socket/open.ts";
import { PROTO_TCP, PROTO_UDP } from "../../../src/wire/ipv4.ts";
import { type Change, hostDevice, type ServiceSpec } from "../case.ts";
import type { EmulatedNode } from "./build-node.ts";
import { address, cidr, mac } from "./parse.ts";

export function applyChange(n: EmulatedNode, c: Change): void {
  const { walk, k } = n;
  switch (c.kind) {
    case "endpoints":
    case "add-service":
    case "remove-service":
      return changeServices(n, c);
    case "link":
      return k.setUp(n.device(c.device), c.up);
    case "mtu":
      return walk.link.setMtu(n.device(c.device), c.mtu);
    case "mac":
      return walk.link.setMac(n.device(c.device), mac(c.mac).hi, mac(c.mac).lo);
    case "add-pod":
      n.spec.pods.push(c.pod);
      return n.addPod(c.pod);
    case "remove-pod":
      return removePod(n, c.pod);
    case "port":
      return n.port(k.dev.peer[n.pods.get(c.pod)!.eth0], c.port);
    case "sysctl":
      return n.sysctls(n.node, { [c.key]: c.value });
    case "device-sysctl":
      return n.deviceSysctls(c.device, { [c.key]: c.value });
    case "add-address":
      return void k.addAddress(
        n.device(c.device),
        address(c.address.split("/")[0]),
        prefixOf(c.address),
        Scope.UNIVERSE,
      );
    case "remove-address":
      return k.removeAddress(n.device(c.device), address(c.address.split("/")[0]));
    case "add-route":
      return n.addRoute(c.route);
    case "remove-route": {
      const to = c.route.to === "default" ? { network: 0, prefix: 0 } : cidr(c.route.to);
      walk.ip.fib.remove(n.node, to.network, to.prefix, -1, 0);
      return;
    }
    case "set-neighbour":
      return n.setNeighbour(c.neighbour);
    case "remove-neighbour":
      return walk.ip.neigh.remove(n.device(c.device), address(c.ip));
    case "conntrack-flush":
      return walk.nf.t.flush(n.node);
    case "conntrack-delete":
      // What the kernel arm says to conntrack(8) by hand, vnetem's kube-proxy finds out by itself.
      return walk.nf.cleanUp(n.node);
    case "remove-rules":
      return walk.nf.removeRules(n.node);
  }
}

const prefixOf = (text: string): number => Number(text.split("/")[1]);

function changeServices(
  n: EmulatedNode,
  c: Extract<Change, { kind: "endpoints" | "add-service" | "remove-service" }>,
): void {
  const services = n.spec.proxy!.services;
  if (c.kind === "add-service") {
    services.push(structuredClone(c.service));
    n.addService(c.service);
    return;
  }
  const s = services.find((one) => one.name === c.service) as ServiceSpec;
  if (c.kind === "remove-service") {
    const proto = s.proto === "tcp" ? PROTO_TCP : PROTO_UDP;
    n.table.removeServicePort(n.table.find(address(s.vip), proto, s.port, n.table.revision));
    services.splice(services.indexOf(s), 1);
    return;
  }
  s.endpoints = c.endpoints;
  if (c.cursor === undefined) delete s.cursor;
  else s.cursor = c.cursor;
  n.setEndpoints(s);
}

function removePod(n: EmulatedNode, name: string): void {
  const pod = n.pods.get(name)!;
  const { walk, k } = n;
  const host = k.dev.peer[pod.eth0];
  if (n.bridge >= 0) walk.link.bridges.removePort(host);
  if (n.spec.attachment === "azure-bridge") walk.ip.neigh.remove(n.bridge, address(pod.spec.ip));
  if (n.spec.attachment.startsWith("azure")) walk.link.ebtables.removePod(n.bridge, address(pod.spec.ip));
  closeNamespace(walk.sock, pod.ns);
  k.removeDevice(n.device(hostDevice(n.spec, pod.spec)));
  k.removeNamespace(pod.ns);
  n.pods.delete(name);
  n.spec.pods = n.spec.pods.filter((p) => p.name !== name);
}
