// The cluster below the script: Services that come and go while pods do, selectors, pods as columns.

import test from "ava";
import { type Cluster, type Service, selects } from "../../src/cluster/cluster.ts";
import { PodPhase, Pods } from "../../src/cluster/pods.ts";
import type { Net } from "../../src/emulator/net.ts";
import { ms } from "../../src/emulator/units.ts";
import { parseIpv4 } from "../../src/wire/address.ts";
import { PROTO_UDP } from "../../src/wire/ipv4.ts";
import { cluster, end } from "../emulator/kit.ts";

const VIP = parseIpv4("10.0.7.7")!;

/** Addresses of the endpoints a service port has now, in their order. */
function endpoints(net: Net, c: Cluster, row: number): string[] {
  const { table } = c;
  table.usable(row, c.nodes[0]!.ns, table.revision);
  return [...table.lists.rows.slice(0, table.lists.count)].map((e) => {
    const ip = table.epIp[e];
    return net.podInfos().find((p) => parseIpv4(p.ip) === ip)?.name ?? `${ip}`;
  });
}

function base(): { net: Net; c: Cluster } {
  const net = cluster((aks) => {
    aks.deployment("a", { replicas: 2, udpEcho: 80, labels: { app: "x", tier: "1" } });
    aks.deployment("b", { replicas: 1, udpEcho: 80, labels: { app: "x", tier: "2" } });
    aks.deployment("c", { replicas: 1, udpEcho: 80 });
    aks.pod("client");
  });
  return { net, c: net.clusters[0]! };
}

const plain = (name: string, clusterIp: number, selector: Service["selector"]): Service => ({
  namespace: "default",
  name,
  type: "ClusterIP",
  clusterIp,
  ports: [],
  selector,
  externalName: "",
  proxied: true,
  publishNotReady: false,
  hints: "none",
  healthPort: 0,
});

test("a Service added to a running cluster finds its pods at once, and later pods find it", (t) => {
  const { net, c } = base();
  const s = c.addService(plain("x", VIP, { app: "x" }));
  c.addServicePort(s, { name: "", port: 80, targetPort: 80, protocol: PROTO_UDP, nodePort: 0 }, false);
  const { row } = c.services[s]!.ports[0]!;
  t.deepEqual(endpoints(net, c, row), ["a-0", "a-1", "b-0"]);
  net.soon.scale("a", 3);
  net.soon.removePod("a-0");
  net.run({ for: 0 });
  t.deepEqual(endpoints(net, c, row), ["a-1", "b-0", "a-2"]);
  const sent = net.soon.udp("client", "10.0.7.7:80", "x");
  net.run({ for: ms(1) });
  t.is(sent.deliveredTo, "a-1");
  end(t, net);
});

test("a Service that goes takes its endpoints, not its pods; others of the same pods stay", (t) => {
  const { net, c } = base();
  const [one, two] = [0, 1].map((i) => {
    const s = c.addService(plain(`s${i}`, VIP + i, { app: "x" }));
    for (const port of [80, 81])
      c.addServicePort(s, { name: "", port, targetPort: 80, protocol: PROTO_UDP, nodePort: 0 }, false);
    return s;
  });
  t.is(c.table.eps.live, 12);
  const kept = c.services[two!]!.ports[1]!.row;
  c.removeService(one!);
  t.is(c.table.eps.live, 6);
  t.is(c.table.ports.live, 2);
  net.soon.replacePod("a-0");
  net.soon.scale("b", 0);
  net.run({ for: 0 });
  t.deepEqual(endpoints(net, c, kept), ["a-1", "a-2"]);
  t.is(c.table.eps.live, 4);
  const again = c.addService(plain("again", VIP, { app: "x", tier: "1" }));
  c.addServicePort(again, { name: "", port: 80, targetPort: 80, protocol: PROTO_UDP, nodePort: 0 }, false);
  t.deepEqual(endpoints(net, c, c.services[again]!.ports[0]!.row), ["a-1", "a-2"]);
  const gone = net.soon.udp("client", "10.0.7.7:81", "x");
  const there = net.soon.udp("client", "10.0.7.7:80", "x");
  net.run({ for: ms(1) });
  t.deepEqual([gone.deliveredTo, there.deliveredTo], [null, "a-1"]);
  end(t, net);
});

test("a selector asks for every label it names; an empty one for nothing", (t) => {
  const rows: [object, object, boolean][] = [
    [{ a: "1" }, { a: "1" }, true],
    [{ a: "1" }, { a: "1", b: "2" }, true],
    [{ a: "1", b: "2" }, { a: "1" }, false],
    [{ a: "1" }, { a: "2" }, false],
    [{ a: "1" }, {}, false],
    [{}, { a: "1" }, false],
  ];
  for (const [selector, labels, want] of rows) {
    t.is(selects(selector as Record<string, string>, labels as Record<string, string>), want);
  }
});

test("pods as columns: rows are used again, names and namespaces lead to the present pod, age stays", (t) => {
  const pods = new Pods();
  const rows = Array.from({ length: 200 }, (_, i) => {
    const p = pods.add(`p${i}`);
    pods.setNamespace(p, 1000 + i);
    return p;
  });
  t.is(pods.byName.get("p150"), rows[150]);
  t.is(pods.byNamespace(1150), rows[150]);
  t.is(pods.byNamespace(-1), -1);
  t.is(pods.byNamespace(1_000_000), -1);
  pods.remove(rows[3]!);
  t.is(pods.phase[rows[3]!], PodPhase.NONE);
  t.is(pods.byNamespace(1003), -1);
  const late = pods.add("late");
  pods.setNamespace(late, 1003);
  t.is(late, rows[3]);
  t.is(pods.byNamespace(1003), late);
  t.false(pods.byName.has("p3"));
  t.deepEqual(pods.oldestFirst([late, rows[9]!, rows[5]!]), [rows[5], rows[9], late]);
  t.is(pods.extreme([rows[9]!, late, rows[5]!], 1), rows[5]);
  t.is(pods.extreme([rows[9]!, late, rows[5]!], -1), late);
  t.is(pods.extreme([], 1), undefined);
});
