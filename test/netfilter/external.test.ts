// Frontends beside the ClusterIP (K 1.2), session affinity (K 1.6) and hints (K 1.3), where the parity cases
// do not reach: settings of NodePorts, nodes that lag, records that expire.

import test from "ava";
import { ANY_LOCAL, addressRanges, FrontendKind } from "../../src/netfilter/frontends.ts";
import type { ProxyOptions } from "../../src/netfilter/netfilter.ts";
import { type ServicePortOptions, ServiceTable } from "../../src/netfilter/service-table.ts";
import { TCP_SYN } from "../../src/wire/tcp.ts";
import { cidr, ip, Lab } from "./lab.ts";

const { NODE_PORT, EXTERNAL_IP, LOAD_BALANCER } = FrontendKind;
const VIP = "10.96.0.10";
const CLIENT = "10.244.1.2";
const OUTSIDE = "10.0.0.100";
const NODE = "10.0.0.1";

function cluster(options: ProxyOptions = {}, port: ServicePortOptions = {}, proto = 6) {
  const lab = new Lab();
  const table = new ServiceTable();
  lab.nf.attachServices(lab.ns, table, {
    clusterCidr: cidr("10.244.0.0/16"),
    nodeIp: ip(NODE),
    randomFully: false,
    ...options,
  });
  const web = table.addServicePort("default/web", ip(VIP), proto, 80, false, port);
  const ep = (host: string, node = -1): number => table.addEndpoint(web, ip(host), 8080, node);
  const syn = (from: string, to: string): number => lab.tcp(from, to, TCP_SYN);
  return { lab, table, web, ep, syn };
}

test("K1.2 --nodeport-addresses, localhost NodePorts, the nftables mode's primary address", (t) => {
  const answers = (options: ProxyOptions): string => {
    const { lab, table, web, ep } = cluster(options);
    ep("10.244.2.2");
    table.addFrontend(web, NODE_PORT, ANY_LOCAL, 30_080, false);
    const reached = [NODE, "10.244.1.1", "127.0.0.1", "10.0.0.9"].filter((to) => {
      const f = lab.output(lab.tcp(`${NODE}:${4000 + to.length}`, `${to}:30080`, TCP_SYN));
      return f >= 0 && lab.end(t, f).endsWith("10.244.2.2:8080");
    });
    lab.close(t);
    return reached.join(" ");
  };
  t.is(answers({}), `${NODE} 10.244.1.1 127.0.0.1`, "every local address");
  t.is(answers({ localhostNodePorts: false }), `${NODE} 10.244.1.1`);
  t.is(answers({ nodePortAddresses: [cidr("10.0.0.0/24")] }), NODE);
  t.is(answers({ nodePortAddresses: [cidr("127.0.0.0/8")] }), "127.0.0.1");
  t.is(answers({ balance: "nftables" }), NODE, "primary");
  t.is(answers({ balance: "nftables", nodePortAddresses: [cidr("0.0.0.0/0")] }), `${NODE} 10.244.1.1`);
});

test("K1.2 source ranges: not for NodePorts; one with the node in it lets the VIP itself in", (t) => {
  for (const balance of ["iptables", "nftables"] as const) {
    const { lab, table, web, ep, syn } = cluster({ balance });
    ep("10.244.2.2");
    const lb = "203.0.113.6";
    table.addFrontend(web, LOAD_BALANCER, ip(lb), 80, false, addressRanges([cidr("192.0.2.0/24")]));
    table.addFrontend(web, NODE_PORT, ANY_LOCAL, 30_080, false);
    t.is(lab.end(t, lab.forward(syn(`${OUTSIDE}:1`, `${lb}:80`))), "SERVICE_SOURCE_RANGE");
    t.is(lab.end(t, lab.output(syn(`${NODE}:1`, `${lb}:80`))), "SERVICE_SOURCE_RANGE");
    t.is(lab.end(t, lab.output(syn(`${lb}:1`, `${lb}:80`))), "SERVICE_SOURCE_RANGE");
    t.is(lab.end(t, lab.forward(syn("192.0.2.9:1", `${lb}:80`))), `${NODE}:1 > 10.244.2.2:8080`);
    t.is(lab.end(t, lab.forward(syn(`${OUTSIDE}:2`, `${NODE}:30080`))), `${NODE}:2 > 10.244.2.2:8080`);
    const wide = table.addServicePort("default/wide", ip("10.96.0.11"), 6, 80);
    table.addEndpoint(wide, ip("10.244.2.3"), 8080, -1);
    table.addFrontend(
      wide,
      LOAD_BALANCER,
      ip("203.0.113.7"),
      80,
      false,
      addressRanges([cidr("10.0.0.0/24")]),
    );
    t.is(
      lab.end(t, lab.post(lab.output(syn("203.0.113.7:3", "203.0.113.7:80")))),
      `${NODE}:3 > 10.244.2.3:8080`,
    );
    lab.close(t);
  }
});

test("K1.5 row 6 and turns: each of the two lists of a service port has a turn of its own", (t) => {
  const { lab, table, web, ep, syn } = cluster();
  ep("10.244.1.3", lab.ns);
  ep("10.244.2.2");
  ep("10.244.2.3");
  table.addFrontend(web, NODE_PORT, ANY_LOCAL, 30_080, true);
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) {
    seen.push(lab.end(t, lab.forward(syn(`${OUTSIDE}:${i}`, `${NODE}:30080`))));
    seen.push(lab.end(t, lab.post(lab.output(syn(`${NODE}:${10 + i}`, `${NODE}:30080`)))));
  }
  t.deepEqual(seen, [
    `${OUTSIDE}:0 > 10.244.1.3:8080`,
    `${NODE}:10 > 10.244.1.3:8080`,
    `${OUTSIDE}:1 > 10.244.1.3:8080`,
    `${NODE}:11 > 10.244.2.2:8080`,
    `${OUTSIDE}:2 > 10.244.1.3:8080`,
    `${NODE}:12 > 10.244.2.3:8080`,
  ]);
  lab.close(t);
});

test("a node that lags knows the frontends and policies of its revision", (t) => {
  const { lab, table, web, ep, syn } = cluster({ delayed: true });
  ep("10.244.2.2");
  const other = lab.k.addNamespace("node-1", -1);
  ep("10.244.3.2", other);
  const x = table.addFrontend(web, EXTERNAL_IP, ip("203.0.113.5"), 80, false);
  const go = (port: number): string => lab.end(t, lab.forward(syn(`${OUTSIDE}:${port}`, "203.0.113.5:80")));
  t.is(go(1), `${OUTSIDE}:1 > 203.0.113.5:80`, "nothing known yet");
  lab.nf.sync(lab.ns, table.revision);
  t.is(go(2), `${NODE}:2 > 10.244.2.2:8080`);
  table.removeFrontend(x);
  table.addFrontend(web, EXTERNAL_IP, ip("203.0.113.5"), 80, true);
  t.is(go(3), `${NODE}:3 > 10.244.3.2:8080`, "still policy Cluster");
  lab.nf.sync(lab.ns, table.revision);
  t.is(go(4), "SERVICE_NO_LOCAL_ENDPOINTS", "policy Local, no endpoint here");
  t.is(table.frontends.ids.live, 1, "the old one is given up");
  table.removeServicePort(web);
  lab.nf.sync(lab.ns, table.revision);
  t.is(table.frontends.ids.live, 0);
  t.is(go(5), `${OUTSIDE}:5 > 203.0.113.5:80`);
  lab.close(t);
});

test("K1.6 shared by all frontends of the port, renewed by connections, gone with the endpoint", (t) => {
  const { lab, table, web, ep, syn } = cluster({}, { affinity: 5e9 });
  const first = ep("10.244.2.2");
  ep("10.244.2.3");
  table.addFrontend(web, NODE_PORT, ANY_LOCAL, 30_080, false);
  let port = 0;
  const go = (from: string, to = `${VIP}:80`): string =>
    lab.end(t, lab.forward(syn(`${from}:${++port}`, to))).split(" > ")[1];
  t.is(go(CLIENT), "10.244.2.2:8080");
  t.is(go("10.244.1.9"), "10.244.2.3:8080");
  t.is(go(CLIENT, `${NODE}:30080`), "10.244.2.2:8080");
  lab.wait(4);
  t.is(go(CLIENT), "10.244.2.2:8080");
  lab.wait(4);
  t.is(go(CLIENT), "10.244.2.2:8080", "the timer starts again with every new connection");
  lab.wait(5.1);
  t.is(go("10.244.1.9"), "10.244.2.2:8080", "expired: the next in turn");
  t.is(go(CLIENT), "10.244.2.3:8080");
  t.is(go("10.244.1.8"), "10.244.2.2:8080");
  table.removeEndpoint(first);
  t.is(go("10.244.1.8"), "10.244.2.3:8080");
  lab.close(t);
});

test("K1.6 of two live records the endpoint first in order wins", (t) => {
  const { lab, table, ep, syn } = cluster({}, { affinity: 10e9 });
  const a = ep("10.244.2.2");
  ep("10.244.2.3");
  let port = 0;
  const go = (): string => lab.end(t, lab.forward(syn(`${CLIENT}:${++port}`, `${VIP}:80`))).split(" > ")[1];
  t.is(go(), "10.244.2.2:8080");
  table.setEndpointConditions(a, 0);
  t.is(go(), "10.244.2.3:8080");
  table.setEndpointConditions(a, 3);
  t.is(go(), "10.244.2.2:8080");
  lab.close(t);
});

test("K1.6 expired records are swept as new ones come; a removed node takes its own along", (t) => {
  const { lab, table, ep, syn } = cluster({}, { affinity: 1e9 });
  ep("10.244.2.2");
  for (let i = 0; i < 600; i++) {
    lab.end(t, lab.forward(syn(`10.244.${i >> 8}.${i & 255}:9`, `${VIP}:80`)));
    lab.wait(0.1);
  }
  t.true(table.affinities.ids.used < 40, `${table.affinities.ids.used} rows for the 10 that live at a time`);
  lab.nf.removeRules(lab.ns);
  t.is(table.affinities.ids.live, 0);
  lab.close(t);
});

test("K1.3 hints: the node's own, its zone's, or all as soon as one ready endpoint lacks a hint", (t) => {
  const table = new ServiceTable();
  const p = table.addServicePort("s", ip(VIP), 6, 80, false, { hinted: true });
  const [near, sameZone, far] = [5, 6, 7];
  [table.zones[near], table.zones[sameZone], table.zones[far]] = [0, 0, 1];
  const add = (host: number, zone: number, node: number, conditions = 3): number =>
    table.addEndpoint(p, host, 80, node, conditions, zone, node);
  const seen = (node: number, revision = table.revision): string => {
    table.usable(p, node, revision);
    return [...table.lists.rows.slice(0, table.lists.count)].map((e) => table.epIp[e]).join();
  };
  table.follow();
  add(1, 0, near);
  const two = add(2, 1, far);
  const before = table.revision;
  t.deepEqual([seen(near), seen(sameZone), seen(far)], ["1", "1", "2"]);
  t.is(seen(8), "1,2", "a node without a zone");
  const bare = add(3, -1, -1);
  t.deepEqual([seen(near), seen(sameZone), seen(far)], ["1,2,3", "1,2,3", "1,2,3"]);
  t.is(seen(near, before), "1", "as a node that lags has it");
  table.setEndpointConditions(bare, 2);
  t.is(seen(near), "1", "one that is not ready does not count");
  table.setEndpointConditions(bare, 3);
  const zoneOnly = add(4, 0, -1);
  table.removeEndpoint(bare);
  t.is(seen(near), "1,4", "node hints are off, zone hints on");
  table.removeEndpoint(zoneOnly);
  table.setEndpointConditions(two, 6);
  t.is(seen(far), "1", "nobody is meant for it: all");
  t.is(seen(near), "1");
});

test("K2.8 flows to NodePorts and external addresses are reconciled, to any address of the port", (t) => {
  const { lab, table, web, ep } = cluster({}, {}, 17);
  const two = ep("10.244.2.2");
  table.addFrontend(web, NODE_PORT, ANY_LOCAL, 30_080, false);
  const send = (from: string, to: string): string =>
    lab.end(t, lab.forward(lab.udp(from, to))).split(" > ")[1];
  t.is(send(`${OUTSIDE}:1`, `${NODE}:30080`), "10.244.2.2:8080");
  t.is(send(`${OUTSIDE}:2`, "10.244.1.1:30080"), "10.244.2.2:8080");
  t.is(send(`${CLIENT}:3`, "192.0.2.1:30080"), "192.0.2.1:30080", "somebody else's port 30080");
  t.is(send(`${CLIENT}:4`, "203.0.113.5:80"), "203.0.113.5:80", "before the rule");
  table.addFrontend(web, EXTERNAL_IP, ip("203.0.113.5"), 80, false);
  t.is(lab.list().length, 4, "only changed endpoints start it");
  ep("10.244.2.3");
  t.is(lab.list().length, 2, "un-translated ones go, to whatever address");
  table.removeEndpoint(two);
  t.deepEqual(lab.list(), []);
  t.is(send(`${OUTSIDE}:1`, `${NODE}:30080`), "10.244.2.3:8080");
  t.is(send(`${CLIENT}:4`, "203.0.113.5:80"), "10.244.2.3:8080");
  lab.close(t);
});
