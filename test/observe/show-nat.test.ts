// `vnetem show … nat` against what iptables-save 1.8.9 and nft 1.0.6 list after they have taken it
// (nat-*.txt), chain names against those of kube-proxy's own tests. As root on Linux the tools are asked
// again.

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import test from "ava";
import { addressRanges, FrontendKind } from "../../src/netfilter/frontends.ts";
import type { ProxyOptions } from "../../src/netfilter/netfilter.ts";
import { base32, sha256 } from "../../src/observe/sha256.ts";
import { show, showJson } from "../../src/observe/show.ts";
import { PROTO_TCP, PROTO_UDP } from "../../src/wire/ipv4.ts";
import { type Cluster, cluster, golden, ip } from "./kit.ts";

const pods = { network: ip("10.224.0.0"), prefix: 16 };
const services = { network: ip("10.0.0.0"), prefix: 16 };

/** Modes and flags, by file of what the tool lists. */
const MODES: Record<string, ProxyOptions> = {
  "nat-round-robin.txt": { clusterCidr: pods, nodeIp: ip("10.224.0.4") },
  "nat-iptables.txt": {
    balance: "iptables",
    nodePortAddresses: [pods],
    masqueradeAll: true,
    randomFully: false,
    dropInvalid: false,
    forwardPolicy: "drop",
  },
  "nat-nftables.txt": {
    balance: "nftables",
    clusterCidr: pods,
    serviceCidr: services,
    nodeIp: ip("10.224.0.4"),
  },
};

/** Services of every kind: none, one and several endpoints, two ports on one address, policy Local. */
function build(options: ProxyOptions): Cluster {
  const c = cluster(options);
  c.service("default/none:metrics", "10.0.0.11", 9090, [], PROTO_TCP);
  c.service("kube-system/kube-dns:dns", "10.0.0.12", 53, [c.web[0]]);
  c.service("kube-system/kube-dns:dns-tcp", "10.0.0.12", 53, [c.web[1], c.web[2]], PROTO_TCP);
  const elsewhere = c.table.addServicePort("default/elsewhere", ip("10.0.0.13"), PROTO_UDP, 80, true);
  c.table.addEndpoint(elsewhere, ip(c.web[1].ip), 8080, c.nodes[1].ns);
  const here = c.table.addServicePort("default/here", ip("10.0.0.14"), PROTO_UDP, 80, true);
  c.table.addEndpoint(here, ip(c.web[0].ip), 8080, c.nodes[0].ns);
  c.table.addEndpoint(here, ip(c.web[1].ip), 8080, c.nodes[1].ns);
  addExternal(c);
  return c;
}

/** NodePorts, external addresses and load balancers, both policies, with and without endpoints; affinity. */
function addExternal(c: Cluster): void {
  const { table, web, nodes } = c;
  const { NODE_PORT, EXTERNAL_IP, LOAD_BALANCER } = FrontendKind;
  const ranges = addressRanges([
    { network: ip("192.0.2.0"), prefix: 24 },
    { network: ip("198.51.100.7"), prefix: 32 },
  ]);
  const shop = table.addServicePort("shop/front:http", ip("10.0.0.20"), PROTO_TCP, 80, false, {
    affinity: 5400e9,
  });
  table.addEndpoint(shop, ip(web[0].ip), 8080, nodes[0].ns);
  table.addEndpoint(shop, ip(web[1].ip), 8080, nodes[1].ns);
  table.addFrontend(shop, NODE_PORT, 0, 30_080, true);
  table.addFrontend(shop, EXTERNAL_IP, ip("203.0.113.5"), 80, true);
  table.addFrontend(shop, LOAD_BALANCER, ip("203.0.113.6"), 80, true, ranges);
  const game = table.addServicePort("shop/game", ip("10.0.0.21"), PROTO_UDP, 4000, true);
  table.addEndpoint(game, ip(web[1].ip), 4000, nodes[1].ns);
  table.addFrontend(game, NODE_PORT, 0, 30_400, false);
  const far = table.addServicePort("shop/far", ip("10.0.0.22"), PROTO_TCP, 80);
  table.addEndpoint(far, ip(web[1].ip), 8080, nodes[1].ns);
  table.addFrontend(far, NODE_PORT, 0, 30_081, true);
  table.addFrontend(far, LOAD_BALANCER, ip("203.0.113.7"), 80, true);
  const empty = table.addServicePort("shop/empty", ip("10.0.0.23"), PROTO_TCP, 80);
  table.addFrontend(empty, NODE_PORT, 0, 30_082, false);
  table.addFrontend(empty, EXTERNAL_IP, ip("203.0.113.8"), 80, false);
}

const text = (c: Cluster): string => show(c.walk, c.nodes[0].ns, "nat", c.names);

/** nft lists elements in its own order, and breaks lines between them. */
function sortElements(list: string): string {
  return list
    .replace(/,\n\s+/g, ", ")
    .replace(
      /elements = \{ (.*) \}/g,
      (_, all: string) => `elements = { ${all.split(", ").sort().join(", ")} }`,
    );
}

for (const [file, options] of Object.entries(MODES)) {
  test(`${file}: as the tool lists it`, (t) => {
    const c = build(options);
    t.is(sortElements(text(c)), sortElements(golden(file)));
    c.end(t);
  });
}

/** In a network namespace of its own. Without node_modules/.bin: there, `nft` is another program. */
function inNamespace(command: string, input: string): string {
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  return execFileSync("unshare", ["-n", "sh", "-c", command], { input, encoding: "utf8", env });
}

function whyNotLive(): string {
  if (process.getuid?.() !== 0) return "needs root";
  try {
    inNamespace("iptables-restore --version && nft --version", "");
    return "";
  } catch {
    return "needs unshare, iptables and nft";
  }
}

const skip = whyNotLive();
const live = skip === "" ? test : test.skip;

live(`the tools of this machine take it and list the same${skip === "" ? "" : ` (${skip})`}`, (t) => {
  const iptables = "iptables-restore; for n in nat filter; do iptables-save -t $n | grep -v '^#'; done";
  for (const [file, options] of Object.entries(MODES)) {
    const command = file.includes("nft") ? "nft -f -; nft list table ip kube-proxy" : iptables;
    const c = build(options);
    const listed = inNamespace(command, text(c));
    t.is(sortElements(listed), sortElements(text(c)), file);
    c.end(t);
  }
});

test("the rules follow the revision a delayed node has reached", (t) => {
  const c = cluster({ delayed: true });
  const n0 = c.nodes[0].ns;
  t.false(text(c).includes("10.0.0.10"), "the node has seen no Service yet");
  c.walk.nf.sync(n0, c.table.revision);
  t.true(text(c).includes("--to-destination 10.224.0.32:8080"));
  c.table.removeServicePort(c.service0);
  t.true(text(c).includes("10.0.0.10"));
  c.walk.nf.sync(n0, c.table.revision);
  t.false(text(c).includes("10.0.0.10"));
  c.end(t);
});

test("as objects", (t) => {
  const c = build({ clusterCidr: pods });
  const chains = showJson(c.walk, c.nodes[0].ns, "nat", c.names);
  t.deepEqual(chains[0], {
    table: "nat",
    chain: "PREROUTING",
    policy: "ACCEPT",
    rules: ['-m comment --comment "kubernetes service portals" -j KUBE-SERVICES'],
  });
  c.end(t);
});

test("SHA-256 and base32 name chains as kube-proxy does", (t) => {
  // pkg/proxy/iptables and pkg/proxy/nftables: proxier_test.go.
  const chain = (name: string, length: number): string => base32(sha256(name), length);
  t.is(chain("ns1/svc1:p80tcp", 16), "XPGD46QRK7WJZT7O");
  t.is(chain("ns1/svc1:p80tcp10.180.0.1:80", 16), "SXIVWICOYRO3J4NJ");
  t.is(chain("ns1/svc1/tcp/p80", 8), "ULMVA6XW");
  t.is(chain("ns1/svc1/tcp/p80__10.180.0.1/80", 8), "5OJB2KTY");
  for (let length = 0; length < 200; length++) {
    const name = "é".repeat(length);
    t.deepEqual(Buffer.from(sha256(name)), createHash("sha256").update(name).digest());
  }
});
