// Bad descriptions: each mistake by itself, with the exact path and words; and many at once, in one error.

import test from "ava";
import { defineTopology, type TopologyBuilder } from "../../src/emulator/define.ts";
import { TopologyError } from "../../src/emulator/errors.ts";
import type { ClusterOptions } from "../../src/emulator/spec.ts";
import { type Describe, problemsOf } from "./kit.ts";

const NEXT_HOPS = "VirtualAppliance, VirtualNetworkGateway, VnetLocal, Internet, None";

/** What a script without types may say. */
type Anything = never;

/** A good cluster with something added or changed. */
function aks(describe: Describe, options: object = {}, nodes = 1): string[] {
  return problemsOf((t) => {
    const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
    const subnet = vnet.subnet("nodes", "10.224.0.0/16");
    const cluster = t.cluster("aks", { subnet, ...(options as Partial<ClusterOptions>) });
    cluster.nodes(nodes);
    describe(cluster, t);
  });
}

const nothing: Describe = () => {};

/** A VNet with something in it. */
const vnet = (describe: (t: TopologyBuilder) => void): string[] => problemsOf(describe);

interface Row {
  it: string;
  found: () => string[];
  expect: string[];
}

const NO_PREFIX = "is not an IPv4 prefix such as 10.224.0.0/12";

const NETWORK: Row[] = [
  {
    it: "prefixes of one VNet overlap",
    found: () => vnet((t) => void t.vnet("a", { addressSpace: ["10.0.0.0/16", "10.0.128.0/17"] })),
    expect: ["vnet.a.addressSpace[1]: overlaps 10.0.0.0/16 of the same VNet"],
  },
  {
    it: "a forbidden range",
    found: () => vnet((t) => void t.vnet("a", { addressSpace: ["169.254.0.0/16", "224.0.0.0/8"] })),
    expect: [
      "vnet.a.addressSpace[0]: overlaps 169.254.0.0/16, which no VNet can have",
      "vnet.a.addressSpace[1]: overlaps 224.0.0.0/4, which no VNet can have",
    ],
  },
  {
    it: "no prefix, no such prefix, bits behind the prefix",
    found: () =>
      vnet((t) => {
        t.vnet("a", { addressSpace: [] });
        t.vnet("b", { addressSpace: ["10.0.0.0", "10.0.0.300/16", "10.1.0.1/16"] });
        t.vnet("c", { addressSpace: "10.0.0.0/8" as Anything });
      }),
    expect: [
      "vnet.a.addressSpace: a VNet needs at least one prefix",
      "vnet.b.addressSpace[0]: 10.0.0.0 is not an IPv4 prefix such as 10.224.0.0/12",
      "vnet.b.addressSpace[1]: 10.0.0.300/16 is not an IPv4 prefix such as 10.224.0.0/12",
      "vnet.b.addressSpace[2]: 10.1.0.1/16 has bits after its prefix: 10.1.0.0/16 is meant",
      "vnet.c.addressSpace: a VNet needs at least one prefix",
    ],
  },
  {
    it: "a negative delay",
    found: () => vnet((t) => void t.vnet("a", { addressSpace: ["10.0.0.0/16"], delay: -1 })),
    expect: ["vnet.a.delay: a delay is a whole number of nanoseconds, not negative"],
  },
  {
    it: "subnets: outside, overlapping, too small, twice by one name, an unknown route table",
    found: () =>
      vnet((t) => {
        const a = t.vnet("a", { addressSpace: ["10.0.0.0/16"] });
        a.subnet("out", "10.1.0.0/24");
        a.subnet("one", "10.0.0.0/24");
        a.subnet("two", "10.0.0.128/25");
        a.subnet("small", "10.0.1.0/30");
        a.subnet("odd", "10.0.2.0/40");
        a.subnet("one", "10.0.3.0/24");
        a.subnet("routed", "10.0.4.0/24", { routeTable: "rt" });
      }),
    expect: [
      "vnet.a.subnet.one: the name is used twice",
      "vnet.a.subnet.out.prefix: lies outside the address space of VNet a",
      "vnet.a.subnet.two.prefix: overlaps subnet one",
      "vnet.a.subnet.small.prefix: /30 is not allowed: /2 to /29",
      "vnet.a.subnet.odd.prefix: 10.0.2.0/40 is not an IPv4 prefix such as 10.224.0.0/12",
      "vnet.a.subnet.routed.routeTable: there is no route table rt",
    ],
  },
  {
    it: "routes",
    found: () =>
      vnet((t) =>
        t.routeTable("rt", [
          { prefix: "1.0.0.0/8", nextHop: "Nowhere" },
          { prefix: "1.0.0.0/8", nextHop: "VirtualAppliance" },
          { prefix: "nonsense", nextHop: "None", address: "1.2.3" },
          { prefix: "2.0.0.0/8", nextHop: "None", address: "10.0.0.4" },
          { prefix: "3.0.0.0/8", nextHop: "None" },
          { prefix: "3.0.0.0/8", nextHop: "Internet" },
        ]),
      ),
    expect: [
      `routeTable.rt.routes[0].nextHop: Nowhere is not one of ${NEXT_HOPS}`,
      "routeTable.rt.routes[1]: a VirtualAppliance route needs the appliance's address",
      "routeTable.rt.routes[3]: only a VirtualAppliance route has an address",
      "routeTable.rt.routes[5]: the table has a route for 3.0.0.0/8 already",
      `routeTable.rt.routes[2].prefix: nonsense ${NO_PREFIX}, and no service tag`,
      "routeTable.rt.routes[2].address: 1.2.3 is not an IPv4 address",
    ],
  },
];

const CLUSTER: Row[] = [
  {
    it: "an unknown mode, with the nearest",
    found: () => aks(nothing, { cni: "azure-brigde" }),
    expect: [
      'cluster.aks.cni: "azure-brigde" is not one of azure-bridge, azure-tunnel, azure-transparent, ' +
        'azure-overlay, kubenet; did you mean "azure-bridge"?',
    ],
  },
  {
    it: "no node",
    found: () => aks(nothing, {}, 0),
    expect: ["cluster.aks.nodes: a cluster needs at least one node"],
  },
  {
    it: "ranges that are none or have bits behind",
    found: () => aks(nothing, { serviceCidr: "10.0.0.0/33", podCidr: "10.244.1.0/16", cni: "kubenet" }),
    expect: [
      "cluster.aks.podCidr: 10.244.1.0/16 has bits after its prefix: 10.244.0.0/16 is meant",
      "cluster.aks.serviceCidr: 10.0.0.0/33 is not an IPv4 prefix such as 10.0.0.0/16",
    ],
  },
  {
    it: "ranges that meet (azure.md 5.11)",
    found: () =>
      aks(nothing, { cni: "azure-overlay", serviceCidr: "10.224.0.0/12", podCidr: "10.224.0.0/16" }),
    expect: [
      "cluster.aks.podCidr: 10.224.0.0/16 overlaps 10.224.0.0/12",
      "cluster.aks.serviceCidr: 10.224.0.0/12 overlaps the subnet of the nodes",
      "cluster.aks.podCidr: 10.224.0.0/16 overlaps the subnet of the nodes",
    ],
  },
  {
    it: "ranges too large, too small, or AKS's own",
    found: () => [
      ...aks(nothing, { serviceCidr: "10.0.0.0/11" }),
      ...aks(nothing, { serviceCidr: "10.0.0.0/29", cni: "kubenet", podCidr: "10.244.0.0/25" }),
      ...aks(nothing, { serviceCidr: "172.30.0.0/16", cni: "azure-overlay", podCidr: "192.0.0.0/16" }),
    ],
    expect: [
      "cluster.aks.serviceCidr: 10.0.0.0/11 is larger than the /12 AKS allows",
      "cluster.aks.serviceCidr: 10.0.0.0/29 is smaller than a /28",
      "cluster.aks.podCidr: 10.244.0.0/25 is smaller than the /24 of one node",
      "cluster.aks.serviceCidr: 172.30.0.0/16 overlaps 172.30.0.0/16, which AKS keeps for itself",
      "cluster.aks.podCidr: 192.0.0.0/16 overlaps 192.0.2.0/24, which AKS keeps for itself",
    ],
  },
  {
    it: "kube-proxy",
    found: () =>
      aks(nothing, {
        kubeProxy: { mode: "userspace", syncDelay: -5, forwardPolicy: "deny", clusterCidr: "10/8" },
        podMacs: "lower",
      }),
    expect: [
      'cluster.aks.podMacs: "lower" is not one of random, low, high; did you mean "low"?',
      'cluster.aks.kubeProxy.mode: "userspace" is not one of round-robin, iptables, nftables, ipvs',
      'cluster.aks.kubeProxy.forwardPolicy: "deny" is not one of accept, drop',
      "cluster.aks.kubeProxy.syncDelay: a delay is a whole number of nanoseconds, not negative",
      "cluster.aks.kubeProxy.clusterCidr: 10/8 is not an IPv4 prefix such as 10.0.0.0/16",
    ],
  },
  {
    it: "a subnet nobody has, and none at all",
    found: () =>
      problemsOf((t) => {
        t.vnet("prod", { addressSpace: ["10.224.0.0/12"] }).subnet("nodes", "10.224.0.0/16");
        t.cluster("a", { subnet: { path: "prod/node" } }).node("n0");
        t.cluster("b", {} as Anything).node("n1");
        t.vm("vm", { subnet: { path: "dev/nodes" } });
      }),
    expect: [
      'cluster.a.subnet: there is no subnet "prod/node"; did you mean "prod/nodes"?',
      'cluster.b.subnet: there is no subnet ""',
      'vm.vm.subnet: there is no subnet "dev/nodes"',
    ],
  },
  {
    it: "a subnet that could not be made is one mistake, not two",
    found: () =>
      problemsOf((t) => {
        const subnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] }).subnet("nodes", "10.0.0.0/16");
        t.cluster("a", { subnet }).node("n0");
      }),
    expect: ["vnet.prod.subnet.nodes.prefix: lies outside the address space of VNet prod"],
  },
  {
    it: "two kubenet clusters in one subnet",
    found: () =>
      problemsOf((t) => {
        const subnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] }).subnet("nodes", "10.224.0.0/16");
        t.cluster("a", { subnet, cni: "kubenet" }).node("a0");
        t.cluster("b", { subnet, cni: "kubenet" }).node("b0");
      }),
    expect: ["cluster.b.subnet: subnet prod/nodes has the kubenet cluster a already"],
  },
];

const NODES: Row[] = [
  {
    it: "addresses: outside, reserved, taken, none",
    found: () =>
      aks((cluster) => {
        cluster.node("a", { address: "10.225.0.4" });
        cluster.node("b", { address: "10.224.0.3" });
        cluster.node("c", { address: "10.224.255.255" });
        cluster.node("d", { address: "10.224.0.4" });
        cluster.node("e", { address: "10.224.0" });
        cluster.node("f", { address: "0.0.0.0" });
      }),
    expect: [
      "cluster.aks.nodes[1].address: 10.225.0.4 lies outside subnet nodes",
      "cluster.aks.nodes[2].address: 10.224.0.3 is reserved by Azure in subnet nodes",
      "cluster.aks.nodes[3].address: 10.224.255.255 is reserved by Azure in subnet nodes",
      "cluster.aks.nodes[4].address: 10.224.0.4 is in use",
      "cluster.aks.nodes[5].address: 10.224.0 is not an IPv4 address",
      "cluster.aks.nodes[6].address: 0.0.0.0 is no host's address",
    ],
  },
  {
    it: "maxPods and sysctls, with the nearest",
    found: () =>
      aks((cluster) => {
        cluster.node("a", { maxPods: 0 });
        cluster.node("b", {
          maxPods: 251,
          sysctls: { "net.ipv4.ip_forwards": 1, "net.ipv4.ip_forward": 0.5 },
        });
      }),
    expect: [
      "cluster.aks.nodes[1].maxPods: maxPods is a whole number from 1 to 250",
      "cluster.aks.nodes[2].maxPods: maxPods is a whole number from 1 to 250",
      'cluster.aks.nodes[2].sysctls: there is no sysctl "net.ipv4.ip_forwards"; ' +
        'did you mean "net.ipv4.ip_forward"?',
      "cluster.aks.nodes[2].sysctls: net.ipv4.ip_forward takes a whole number, not 0.5",
    ],
  },
  {
    it: "a subnet without room for the pods a node reserves, and none for another node",
    found: () =>
      problemsOf((t) => {
        const subnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] }).subnet("nodes", "10.224.0.0/27");
        t.cluster("aks", { subnet, maxPods: 20 }).nodes(3);
      }),
    expect: [
      "cluster.aks.nodes[1]: subnet prod/nodes has only 5 of the 20 pod addresses this node reserves",
      "cluster.aks.nodes[2].address: subnet nodes has no free address",
    ],
  },
  {
    it: "a pod range with too few /24",
    found: () => aks(nothing, { cni: "azure-overlay", podCidr: "10.244.0.0/23" }, 3),
    expect: ["cluster.aks.nodes[2]: the pod range 10.244.0.0/23 has no /24 left for this node"],
  },
];

const WORKLOADS: Row[] = [
  {
    it: "pods: no such node, too many, bad ports, bad replicas",
    found: () =>
      aks(
        (cluster) => {
          cluster.pod("a", { node: "n7" });
          cluster.deployment("b", { replicas: -1 });
          cluster.deployment("c", { replicas: 1.5 });
          cluster.pod("d", { udpEcho: 0, udpSink: [70_000, 8.5] });
          cluster.pod("e", { udpEcho: [80, 81], udpSink: [81, 82, 82] });
          cluster.deployment("f", { replicas: 99 });
        },
        {},
        2,
      ),
    expect: [
      'cluster.aks.pod.a.node: there is no node "n7"; did you mean "n0"?',
      "cluster.aks.deployment.b.replicas: replicas is a whole number, not negative",
      "cluster.aks.deployment.c.replicas: replicas is a whole number, not negative",
      "cluster.aks.pod.d.udpEcho: a port is a whole number from 1 to 65535",
      "cluster.aks.pod.d.udpSink: a port is a whole number from 1 to 65535",
      "cluster.aks.pod.e.udpSink: the same port twice",
      "cluster.aks.pod.e.udpSink: port 81 is an echo port too",
      "cluster.aks.deployment.f: no node has room for replica 56 of 99",
    ],
  },
  {
    it: "more pods than the nodes take, and more than the named node takes",
    found: () => [
      ...aks((cluster) => cluster.deployment("web", { replicas: 31 })),
      ...aks((cluster) => cluster.deployment("web", { replicas: 31, node: "n0" }), {}, 2),
      ...aks((cluster) => cluster.deployment("web", { replicas: 250 }).pod("x"), { cni: "azure-overlay" }),
    ],
    expect: [
      "cluster.aks.deployment.web: no node has room for replica 31 of 31",
      "cluster.aks.deployment.web: no node has room for replica 31 of 31",
      "cluster.aks.pod.x: no node has room for replica 1 of 1",
    ],
  },
  {
    it: "names: twice, of another pod, not a DNS label",
    found: () =>
      aks((cluster, t) => {
        cluster.node("n0");
        cluster.pod("n0");
        cluster.deployment("web", { replicas: 1 });
        cluster.pod("web-7");
        cluster.pod("Upper_case");
        cluster.service("web", { port: 80 });
        cluster.service("web", { port: 81 });
        cluster.service("a:b", { port: 80 });
        t.vm("web", { subnet: { path: "prod/nodes" } });
      }),
    expect: [
      "cluster.aks.nodes[1]: the name is taken by cluster.aks.nodes[0]",
      "cluster.aks.pod.n0: the name is taken by cluster.aks.nodes[0]",
      'cluster.aks.pod.Upper_case: "Upper_case" is not a DNS label ' +
        "(RFC 1123: lower case, digits and hyphens)",
      "cluster.aks.service.web: the name is taken by cluster.aks.service.web",
      'cluster.aks.service.a:b: "a:b" is not a DNS label (RFC 1123: lower case, digits and hyphens)',
      "vm.web: the name is taken by cluster.aks.deployment.web",
      "cluster.aks.pod.web-7: the name is one that cluster.aks.deployment.web gives to its pods",
    ],
  },
  {
    it: "VMs",
    found: () =>
      aks((_cluster, t) => {
        t.vm("a", { subnet: { path: "prod/nodes" }, address: "10.224.0.1" });
        t.vm("b", { subnet: { path: "prod/nodes" }, udpEcho: -1 });
      }),
    expect: [
      "vm.a.address: 10.224.0.1 is reserved by Azure in subnet nodes",
      "vm.b.udpEcho: a port is a whole number from 1 to 65535",
    ],
  },
];

const SERVICES: Row[] = [
  {
    it: "no port, bad ports, ports and names twice, an unknown protocol",
    found: () =>
      aks((cluster) => {
        cluster.service("a", {});
        cluster.service("b", { port: 0, targetPort: 65_536 });
        cluster.service("c", { port: 80, protocol: "QUIC" as Anything });
        const port = { port: 80, protocol: "UDP" } as const;
        cluster.service("d", { ports: [port, port, { port: 80 }, { port: 81, name: "80/tcp" }] });
        cluster.service("e", { port: 80, internalTrafficPolicy: "local" as Anything });
      }),
    expect: [
      "cluster.aks.service.a.ports: a Service needs at least one port",
      "cluster.aks.service.b.port: 0 is no port number",
      "cluster.aks.service.b.targetPort: 65536 is no port number",
      'cluster.aks.service.c.protocol: "QUIC" is not one of TCP, UDP, SCTP',
      "cluster.aks.service.d.ports[1].port: 80/udp is used twice in this Service",
      'cluster.aks.service.d.ports[1].name: the name "80/udp" is used twice in this Service',
      'cluster.aks.service.d.ports[3].name: the name "80/tcp" is used twice in this Service',
      'cluster.aks.service.e.internalTrafficPolicy: "local" is not one of Cluster, Local; ' +
        'did you mean "Local"?',
    ],
  },
  {
    it: "ClusterIPs: outside, taken, none, of nobody; and the range runs out",
    found: () => [
      ...aks((cluster) => {
        cluster.service("a", { port: 80, clusterIP: "10.1.0.5" });
        cluster.service("b", { port: 80, clusterIP: "10.0.0.11" });
        cluster.service("c", { port: 80, clusterIP: "10.0.0.11" });
        cluster.service("d", { port: 80, clusterIP: "nowhere" });
        cluster.service("e", { port: 80, clusterIP: "10.0.0.0" });
        cluster.service("f", { port: 80, clusterIP: "10.0.255.255" });
      }),
      ...aks(
        (cluster) => {
          for (const name of ["a", "b", "c", "d", "e"]) cluster.service(name, { port: 80 });
        },
        { serviceCidr: "10.0.0.0/28" },
      ),
    ],
    expect: [
      "cluster.aks.service.a.clusterIP: 10.1.0.5 lies outside 10.0.0.0/16",
      "cluster.aks.service.c.clusterIP: 10.0.0.11 is in use",
      "cluster.aks.service.d.clusterIP: nowhere is not an IPv4 address",
      "cluster.aks.service.e.clusterIP: 10.0.0.0 is the first or last address of 10.0.0.0/16",
      "cluster.aks.service.f.clusterIP: 10.0.255.255 is the first or last address of 10.0.0.0/16",
      "cluster.aks.service.e: the service range 10.0.0.0/28 has no address left",
    ],
  },
];

const OPTIONS: Row[] = [
  {
    it: "seed and frames",
    found: () => [
      ...problemsOf(nothingAtAll, { seed: 1.5 }),
      ...problemsOf(nothingAtAll, { seed: Number.NaN, frames: 63 }),
      ...problemsOf(nothingAtAll, { conntrackEntries: 0, flowCacheEntries: 1.5 }),
      ...problemsOf(nothingAtAll, { frames: 2 ** 21 }),
    ],
    expect: [
      "seed: a seed is a whole number",
      "seed: a seed is a whole number",
      "frames: the number of frames is a whole number from 64 to 1048576",
      "conntrackEntries: the number of connections is a whole number from 1 to 4194304",
      "flowCacheEntries: the number of flows is a whole number from 1 to 4194304",
      "frames: the number of frames is a whole number from 64 to 1048576",
    ],
  },
];

OPTIONS.push({
  it: "hairpin and a promiscuous bridge",
  found: () =>
    problemsOf((t) => {
      const subnet = t.vnet("v", { addressSpace: ["10.224.0.0/16"] }).subnet("s", "10.224.0.0/24");
      t.cluster("aks", { subnet, cni: "kubenet", hairpin: true, promiscuousBridge: true }).nodes(1);
    }),
  expect: ["cluster.aks.promiscuousBridge: the bridge plugin takes hairpin or promiscuousBridge, not both"],
});

OPTIONS.push({
  it: "settings of the fabric, and with them everything else",
  found: () =>
    problemsOf((t) => void t.vnet("v", { addressSpace: ["10.0.0.0/33"] }), {
      frames: 63,
      fabric: {
        sourceMac: "sendr",
        spoofedMac: "no",
        fragmentFlows: 0,
        fragmentTimeout: -1,
        sourceMacs: "sender",
      },
    }),
  expect: [
    "frames: the number of frames is a whole number from 64 to 1048576",
    'fabric.sourceMacs: the fabric has no such setting; did you mean "sourceMac"?',
    'fabric.sourceMac: "sendr" is not one of virtual, sender; did you mean "sender"?',
    'fabric.spoofedMac: "no" is not one of drop, stamp',
    "fabric.fragmentFlows: a whole number of datagrams from 1 to 1048576",
    "fabric.fragmentTimeout: a whole number of nanoseconds from 1 on",
    "vnet.v.addressSpace[0]: 10.0.0.0/33 is not an IPv4 prefix such as 10.224.0.0/12",
  ],
});

function nothingAtAll(): void {}

for (const rows of [OPTIONS, NETWORK, CLUSTER, NODES, WORKLOADS, SERVICES]) {
  for (const { it, found, expect } of rows) test(it, (t) => t.deepEqual(found(), expect));
}

test("one error lists every mistake, whatever part it is in, before anything is built", (t) => {
  const topology = defineTopology({}, (d) => {
    const prod = d.vnet("prod", { addressSpace: ["10.224.0.0/12", "10.230.0.0/16"] });
    const subnet = prod.subnet("nodes", "10.224.0.0/16");
    const cluster = d.cluster("aks", { subnet, cni: "flannel" as Anything, podCidr: "x", serviceCidr: "y" });
    cluster.node("n0", { address: "1.2.3.4.5", maxPods: -1, sysctls: { foo: 1 } });
    cluster.deployment("web", { replicas: -2, udpEcho: 0, node: "m0" });
    cluster.service("web", { ports: [], clusterIP: "?" });
    cluster.service("api", { port: 99_999, protocol: "HTTP" as Anything, clusterIP: "9.9.9.9" });
    d.vm("db", { subnet, address: "10.224.0.2", udpSink: 65_536 });
  });
  const error = t.throws(() => topology.build(), { instanceOf: TopologyError });
  t.deepEqual(
    error?.problems.map((p) => p.path),
    [
      "vnet.prod.addressSpace[1]",
      "cluster.aks.cni",
      "cluster.aks.podCidr",
      "cluster.aks.serviceCidr",
      "cluster.aks.nodes[0].address",
      "cluster.aks.nodes[0].maxPods",
      "cluster.aks.nodes[0].sysctls",
      "cluster.aks.deployment.web.udpEcho",
      "cluster.aks.deployment.web.replicas",
      "cluster.aks.deployment.web.node",
      "cluster.aks.service.web.ports",
      "cluster.aks.service.web.clusterIP",
      "cluster.aks.service.api.clusterIP",
      "cluster.aks.service.api.port",
      "cluster.aks.service.api.targetPort",
      "cluster.aks.service.api.protocol",
      "vm.db.udpSink",
      "vm.db.address",
    ],
  );
  t.is(error?.message.split("\n").length, error?.problems.length);
  t.true(error?.message.startsWith("vnet.prod.addressSpace[1]: overlaps 10.224.0.0/12 of the same VNet\n"));
});

test("a seed given to build() is checked as the topology's own", (t) => {
  const topology = defineTopology({}, () => {});
  t.throws(() => topology.build({ seed: 0.1 }), {
    instanceOf: TopologyError,
    message: "seed: a seed is a whole number",
  });
  t.notThrows(() => topology.build({ seed: -3 }));
});
