// What happens to the node between two steps of a random case: endpoints come and go, ports and devices go
// down and come back, routes and settings change, entries are flushed. Whatever is taken away for one step is
// given back at the next, so that most frames still meet a working node. Real tools make the changes, in real
// time, of which a case has little (generate.ts): what its changes may take is counted.

import { type Change, type EndpointSpec, hostDevice, type RouteSpec, type ServiceSpec } from "../case.ts";
import type { Draw } from "./draw.ts";
import { GATEWAY, NIC, OUTSIDE, randomEndpoints, type World } from "./node.ts";

/** What changes take on an idle machine, ms, and what a case may spend on them. */
const COST = { rules: 15, conntrack: 20, link: 8, other: 3, bridge: 250 } as const;
const SPENT_AT_MOST = 300;

export class Events {
  /** Pods that cannot send now: their node's end is down. */
  readonly silent = new Set<string>();
  private readonly draw: Draw;
  private readonly world: World;
  private readonly services: ServiceSpec[];
  private repair: Change[] = [];
  private spent = 0;

  constructor(draw: Draw, world: World, services: ServiceSpec[]) {
    this.draw = draw;
    this.world = world;
    this.services = services;
  }

  /** The changes with which the next step begins. */
  next(): Change[] {
    const { draw } = this;
    const changes = this.repair;
    this.repair = [];
    this.silent.clear();
    if (changes.length > 0 || !draw.chance(0.4)) return changes;
    const [cost, make] = draw.weighted<readonly [number, () => Change[]]>([
      [6, [COST.rules, () => this.endpoints()]],
      [1, [COST.link, () => this.portDown()]],
      // A bridge needs up to 0.6 s to come back (linkwatch).
      [0.4, [COST.bridge, () => this.bridgeDown()]],
      [1, [COST.other, () => this.portFlags()]],
      [1, [COST.other, () => this.sysctl()]],
      [2, [COST.other, () => this.reroute()]],
      [0.7, [COST.other, () => this.neighbour()]],
      [0.4, [COST.conntrack, () => [{ kind: "conntrack-flush" }]]],
      [0.3, [COST.other, () => this.mtu()]],
      [1, [COST.other, () => this.withoutAddress()]],
    ]);
    if (this.spent + cost > SPENT_AT_MOST) return [];
    const made = make();
    if (made.length > 0) this.spent += cost;
    return made;
  }

  private endpoints(): Change[] {
    const { draw } = this;
    if (this.services.length === 0) return [];
    const service = draw.pick(this.services);
    const fresh = randomEndpoints(draw, this.world.pods, draw.below(5));
    service.endpoints = service.affinitySeconds === undefined ? fresh : inOrder(draw, service, fresh);
    return [{ kind: "endpoints", service: service.name, endpoints: service.endpoints }];
  }

  private portDown(): Change[] {
    const { draw, world } = this;
    const { node } = world;
    // The kernel of a pod hears of the lost carrier up to a second later (linkwatch).
    const pods = world.pods.filter((p) => p.stack !== "linux");
    if (pods.length === 0) return [];
    const pod = draw.pick(pods);
    const device = hostDevice(node, pod);
    this.silent.add(pod.name);
    this.repair = [{ kind: "link", device, up: true }];
    if (node.attachment === "transparent") {
      // Routes go with the device and do not come back by themselves.
      const route = { type: "unicast", to: `${pod.ip}/32`, device } as const;
      this.repair.push({ kind: "add-route", route });
    }
    return [{ kind: "link", device, up: false }];
  }

  private bridgeDown(): Change[] {
    const { node } = this.world;
    if (node.attachment !== "bridge") return [];
    this.repair = [{ kind: "link", device: "cbr0", up: true }];
    return [{ kind: "link", device: "cbr0", up: false }];
  }

  private portFlags(): Change[] {
    const { draw, world } = this;
    if (world.node.attachment === "transparent") return [];
    const key = draw.pick([
      "hairpin",
      "isolated",
      "learning",
      "flood",
      "mcast_flood",
      "bcast_flood",
    ] as const);
    return [{ kind: "port", pod: draw.pick(world.pods).name, port: { [key]: draw.chance(0.5) } }];
  }

  private sysctl(): Change[] {
    const { draw } = this;
    const key = draw.pick([
      "net.ipv4.ip_forward",
      "net.bridge.bridge-nf-call-iptables",
      "net.netfilter.nf_conntrack_tcp_be_liberal",
      "net.netfilter.nf_conntrack_tcp_loose",
      "net.ipv4.icmp_echo_ignore_all",
      "net.ipv4.icmp_echo_ignore_broadcasts",
      "net.ipv4.icmp_errors_use_inbound_ifaddr",
    ] as const);
    const value = draw.below(2);
    // The node stays one that forwards.
    if (key === "net.ipv4.ip_forward") this.repair = [{ kind: "sysctl", key, value: 1 }];
    return [{ kind: "sysctl", key, value }];
  }

  /** A more specific route to one outside host: another way out than its connections were made for. */
  private reroute(): Change[] {
    const { draw, world } = this;
    const { node } = world;
    const to = `${draw.pick(OUTSIDE).ip}/32`;
    const pod = draw.pick(world.pods);
    const ways = [
      { type: "blackhole", to },
      { type: "unreachable", to },
      { type: "prohibit", to },
      ...(node.attachment === "bridge"
        ? [{ type: "unicast", to, via: pod.ip, device: "cbr0" } as const]
        : []),
      ...(node.attachment === "transparent"
        ? [{ type: "unicast", to, device: hostDevice(node, pod) } as const]
        : []),
    ] as const;
    const route = draw.pick(ways);
    this.repair = [{ kind: "remove-route", route }];
    return [{ kind: "add-route", route }];
  }

  private neighbour(): Change[] {
    const { draw, world } = this;
    const { node } = world;
    if (node.attachment !== "bridge") return [];
    const pod = draw.pick(world.pods);
    const mac = draw.chance(0.5) ? pod.mac : draw.pick(world.pods).mac;
    return [{ kind: "set-neighbour", neighbour: { device: "cbr0", ip: pod.ip, mac } }];
  }

  private mtu(): Change[] {
    const { draw, world } = this;
    const device = hostDevice(world.node, draw.pick(world.pods));
    const mtu = draw.pick([1500, 1280, 1000]);
    this.repair = [{ kind: "mtu", device, mtu: world.node.nic.mtu ?? 1500 }];
    return [{ kind: "mtu", device, mtu }];
  }

  /**
   * The uplink loses its address, and with it its routes. A way out that needs none stays now and then:
   * MASQUERADE then takes an address of another device, or finds none at all.
   */
  private withoutAddress(): Change[] {
    const { node } = this.world;
    if (node.attachment !== "bridge" && node.attachment !== "transparent") return [];
    const address = `${NIC.ip}/24`;
    const removed: Change = { kind: "remove-address", device: "eth0", address };
    const back: Change[] = [{ kind: "add-address", device: "eth0", address }];
    const via = { type: "unicast", via: GATEWAY.ip, device: "eth0" } as const;
    if (node.nic.gateway !== undefined) back.push({ kind: "add-route", route: { ...via, to: "default" } });
    if (this.draw.chance(0.3)) {
      this.repair = back;
      return [removed];
    }
    const gateway = { type: "unicast", to: `${GATEWAY.ip}/32`, device: "eth0" } as const;
    const beyond = { ...via, to: `${OUTSIDE[1].ip}/32` };
    const routes = (kind: "add-route" | "remove-route", ...list: RouteSpec[]): Change[] =>
      list.map((route) => ({ kind, route }));
    this.repair = [...routes("remove-route", beyond, gateway), ...back];
    return [removed, ...routes("add-route", gateway, beyond)];
  }
}

/**
 * Clients stay with an endpoint while it stays. vnetem keeps endpoints in the order they came, so those of a
 * Service with affinity never change places.
 */
function inOrder(draw: Draw, service: ServiceSpec, fresh: EndpointSpec[]): EndpointSpec[] {
  const kept = service.endpoints.filter(() => draw.chance(0.6));
  const known = new Set(service.endpoints.map((e) => `${e.ip}:${e.port}`));
  return [...kept, ...fresh.filter((e) => !known.has(`${e.ip}:${e.port}`))].slice(0, 5);
}
