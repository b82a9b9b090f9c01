// vnetem explain and show: Done-when 3 of the first issue word by word, drops and their exit code, every
// table.

import { join } from "node:path";
import test from "ava";
import { cleanUp, QUICKSTART, TOPOLOGIES, vnetem } from "./command.ts";

test.after.always(cleanUp);

const explain = (to: string, ...more: string[]) => vnetem("explain", QUICKSTART, "client", to, ...more);

test("there and back through a Service, with the endpoint and each rewrite", async (t) => {
  const { code, stdout, stderr } = await explain("web:80", "--proto", "udp");
  t.is(stderr, "");
  t.is(code, 0);
  const want = [
    /^udp from client to web:80: delivered/,
    /service default\/web:?.*endpoint 1.* 10\.224\.0\.5:8080/,
    /^request \(packet \d+\): delivered/m,
    /^ {2}pod client$/m,
    /^ {2}node n0$/m,
    /nf_hook PRE_ROUTING .*conntrack NEW/,
    /DNAT 10\.0\.0\.11:80 -> 10\.224\.0\.5:8080 by KUBE-SERVICES \(service default\/web/,
    /^ {2}pod web-0$/m,
    /^UDP reply \(packet \d+\): delivered/m,
    /10\.224\.0\.5:8080 -> 10\.0\.0\.11:80/,
  ];
  let at = 0;
  for (const pattern of want) {
    const found = stdout.slice(at).search(pattern);
    t.true(found >= 0, `${pattern} after ${JSON.stringify(stdout.slice(Math.max(0, at - 80), at))}`);
    at += Math.max(0, found);
  }
});

for (const proto of ["udp", "tcp", "icmp"]) {
  test(`towards a Service without endpoints over ${proto}: what stops it, exit 1`, async (t) => {
    const { code, stdout, stderr } = await explain("empty:80", "--proto", proto);
    t.is(stderr, "");
    t.is(code, 1);
    // The Service has a UDP port only; and no rule is about a ping (K 1.4).
    if (proto === "udp") {
      t.regex(stdout, /SERVICE_REJECT/);
      t.regex(stdout, /REJECT.*icmp-port-unreachable|ICMP port unreachable/);
    } else t.regex(stdout, /VNET_ROUTE_NONE/);
  });
}

test("a TCP Service without endpoints is refused as well; with one, the closed port resets", async (t) => {
  const file = join(TOPOLOGIES, "quickstart.ts");
  const tcp = await vnetem("explain", file, "client", "web-0:8080", "--proto", "tcp");
  t.regex(tcp.stdout, /NO_SOCKET/);
  t.regex(tcp.stdout, /Flags \[R/);
  t.is(tcp.code, 1);
});

test("--json: the explanation as one object", async (t) => {
  const { code, stdout, stderr } = await explain("web", "--json");
  t.is(stderr, "");
  t.is(code, 0);
  t.is(stdout.trim().split("\n").length, 1);
  const found = JSON.parse(stdout);
  t.is(found.verdict, "delivered");
  t.like(found.endpoint, { address: "10.224.0.5:8080", pod: "web-0", number: 1 });
  t.is(found.request.verdict, "delivered");
  t.is(found.replies[0].verdict, "delivered");
});

test("--after: the script has run, neighbours are known, and turns have been taken", async (t) => {
  const before = await explain("web:80");
  t.regex(before.stdout, /waits for ARP/);
  const after = await explain("web:80", "--after");
  t.is(after.code, 0);
  t.notRegex(after.stdout, /waits for ARP/);
});

test("a ping, a node, an address, another seed", async (t) => {
  const ping = await explain("web-5", "--proto", "icmp");
  t.is(ping.code, 0);
  t.regex(ping.stdout, /pod web-5/);
  const node = await vnetem("explain", QUICKSTART, "n1", "10.224.0.5:8080");
  t.is(node.code, 0);
  const nobody = await explain("10.225.0.9:1", "--seed", "99");
  t.is(nobody.code, 1);
  t.regex(nobody.stdout, /VNET_NO_SUCH_ADDRESS/);
});

const show = (host: string, table: string, ...more: string[]) =>
  vnetem("show", QUICKSTART, host, table, ...more);

const TABLES: [string, string, RegExp][] = [
  ["n0", "link", /^\d+: azure0: <.*UP.*mtu 1500/m],
  ["n0", "addr", /inet 10\.224\.0\.4\/16/],
  ["n0", "route", /^default via 10\.224\.0\.1 dev azure0/m],
  ["n0", "neigh", /dev azure0 lladdr ([0-9a-f]{2}:){5}[0-9a-f]{2}/],
  ["n0", "fdb", /dev \S+ master azure0/],
  ["n0", "conntrack", /udp +17 .*dst=10\.0\.0\.11 .*dport=80 .*src=10\.224\.0\.\d+/],
  ["n0", "nat", /KUBE-SERVICES.*10\.0\.0\.11/],
  ["n0", "drops", /DEVICE +REASON +PACKETS +MEANING/],
  ["client", "addr", /inet 10\.224\.0\.\d+\/16/],
  ["client", "route", /^default via/m],
];
for (const [host, table, pattern] of TABLES) {
  test(`show ${host} ${table}`, async (t) => {
    const { code, stdout, stderr } = await show(host, table);
    t.is(stderr, "");
    t.is(code, 0);
    t.regex(stdout, pattern);
    const json = await show(host, table, "--json");
    t.true(Array.isArray(JSON.parse(json.stdout)));
  });
}
