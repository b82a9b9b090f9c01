// K 6.2, tests 80 and 81: the cluster's DNS through its Service, over frames. Each title has the name the
// test has upstream (test/e2e/network/dns.go). Records are those of Kubernetes' DNS specification 1.1.0.

import test from "ava";
import { decodeDnsReply, encodeDnsQuery } from "../../src/wire/dns.ts";
import { cluster, ECHO, end, ms, type Net, sec, tcp, UDP, udp } from "./kit.ts";

/** CoreDNS on two of three nodes; web in the namespace shop, a headless db, an alias; clients. */
function world(options: Parameters<typeof cluster>[1] = {}): Net {
  return cluster(
    (aks, t) => {
      aks.dns();
      aks.deployment("web", { namespace: "shop", replicas: 2, ...ECHO });
      aks.service("web", { namespace: "shop", ports: [{ name: "http", port: 80, targetPort: 8080 }] });
      aks.deployment("db", { replicas: 2, subdomain: "db", ...ECHO });
      aks.service("db", { clusterIP: "None", ports: [{ name: "sql", port: 5432, targetPort: 8080 }] });
      aks.service("out", { type: "ExternalName", externalName: "www.example.com" });
      aks.pod("client", { labels: {} }).pod("shopper", { namespace: "shop", labels: {} });
      t.dnsZone("example.com", { records: { www: { A: ["203.0.113.80"] } } });
    },
    { cni: "azure-overlay", ...options },
    3,
  );
}

function ask(net: Net, name: string, type: "A" | "AAAA" | "SRV" | "PTR" | "CNAME" | "TXT" = "A"): string {
  const found = net.soon.resolve("client", name, { type });
  net.run({ for: ms(10) });
  const data = found.answers.map(({ type: kind, data: d }) => {
    return typeof d === "string" ? `${kind} ${d}` : `${kind} ${d.priority} ${d.weight} ${d.port} ${d.target}`;
  });
  return [found.rcode, ...data].join("; ");
}

const ZONE = "svc.cluster.local";

test("DNS should provide DNS for the cluster", (t) => {
  const net = world();
  t.is(net.clusterIp("kube-dns"), "10.0.0.10");
  t.is(ask(net, `kube-dns.kube-system.${ZONE}`), "NOERROR; A 10.0.0.10");
  t.is(ask(net, "dns-version.cluster.local", "TXT"), "NOERROR; TXT 1.1.0");
  t.is(ask(net, `nobody.default.${ZONE}`), "NXDOMAIN");
  t.is(ask(net, `web.nowhere.${ZONE}`), "NXDOMAIN");
  t.is(ask(net, "www.example.com"), "NOERROR; A 203.0.113.80", "the rest is the platform's");
  t.deepEqual(
    net.podInfos("coredns").map((p) => p.received > 0),
    [true, true],
    "in turns, by real datagrams",
  );
  end(t, net);
});

test("DNS should provide DNS for services", (t) => {
  const net = world();
  const ip = net.clusterIp("web");
  t.is(ask(net, `web.shop.${ZONE}`), `NOERROR; A ${ip}`);
  t.is(ask(net, `web.shop.${ZONE}`, "AAAA"), "NOERROR");
  t.is(ask(net, `_http._tcp.web.shop.${ZONE}`, "SRV"), `NOERROR; SRV 0 100 80 web.shop.${ZONE}`);
  t.is(ask(net, `_http._udp.web.shop.${ZONE}`, "SRV"), "NXDOMAIN");
  t.is(ask(net, `${ip.split(".").reverse().join(".")}.in-addr.arpa`, "PTR"), `NOERROR; PTR web.shop.${ZONE}`);
  const [one, two] = net.podInfos("db").map((p) => p.ip);
  t.is(ask(net, `db.default.${ZONE}`), `NOERROR; A ${one}; A ${two}`);
  net.soon.ready("db-0", false);
  net.run({ for: ms(1) });
  t.is(ask(net, `db.default.${ZONE}`), `NOERROR; A ${two}`, "only what is ready");
  end(t, net);
});

test("DNS should provide DNS for pods for Hostname", (t) => {
  const net = world();
  const { ip } = net.pod("db-1");
  t.is(ask(net, `db-1.db.default.${ZONE}`), `NOERROR; A ${ip}`);
  const reverse = `${ip.split(".").reverse().join(".")}.in-addr.arpa`;
  t.is(ask(net, reverse, "PTR"), `NOERROR; PTR db-1.db.default.${ZONE}`);
  t.is(ask(net, `${ip.replaceAll(".", "-")}.default.pod.cluster.local`), `NOERROR; A ${ip}`);
  end(t, net);
});

test("DNS should provide DNS for pods for Subdomain", (t) => {
  const net = world();
  const srv = ["db-0", "db-1"].map((pod) => `SRV 0 50 8080 ${pod}.db.default.${ZONE}`);
  t.is(ask(net, `_sql._tcp.db.default.${ZONE}`, "SRV"), ["NOERROR", ...srv].join("; "));
  t.is(ask(net, `db-7.db.default.${ZONE}`), "NXDOMAIN");
  end(t, net);
});

test("DNS should provide DNS for ExternalName services", (t) => {
  const net = world();
  t.is(ask(net, `out.default.${ZONE}`, "CNAME"), "NOERROR; CNAME www.example.com");
  t.is(ask(net, `out.default.${ZONE}`), "NOERROR; CNAME www.example.com; A 203.0.113.80");
  net.soon.service("out", { type: "ExternalName", externalName: "foo.example.com" });
  t.is(ask(net, `out.default.${ZONE}`, "CNAME"), "NOERROR; CNAME foo.example.com");
  net.soon.service("out", { ...UDP, selector: { app: "db" } });
  net.run({ for: ms(1) });
  t.is(ask(net, `out.default.${ZONE}`), `NOERROR; A ${net.clusterIp("out")}`);
  end(t, net);
});

test("DNS should support configurable pod DNS nameservers", (t) => {
  const net = cluster((aks, d) => {
    aks.dns();
    const dnsConfig = { nameservers: ["168.63.129.16"], searches: ["example.com"] };
    aks.pod("client", { dnsPolicy: "None", dnsConfig });
    d.dnsZone("example.com", { records: { www: { A: ["203.0.113.80"] } } });
  });
  t.is(net.resolvConf("client"), "search example.com\nnameserver 168.63.129.16\n");
  const found = net.soon.lookup("client", "www");
  net.run({ for: ms(10) });
  t.deepEqual(found.addresses, ["203.0.113.80"]);
  end(t, net);
});

test("DNS should support configurable pod resolv.conf", (t) => {
  const net = cluster((aks) => {
    aks.dns();
    aks.pod("plain", { namespace: "shop" });
    aks.pod("more", { dnsConfig: { searches: ["corp.example"], ndots: 2, timeout: sec(1) } });
    aks.pod("host", { hostNetwork: true });
    aks.pod("both", { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" });
  });
  const own = "svc.cluster.local cluster.local internal.cloudapp.net";
  t.is(
    net.resolvConf("plain"),
    `search shop.svc.cluster.local ${own}\nnameserver 10.0.0.10\noptions ndots:5\n`,
  );
  t.is(
    net.resolvConf("more"),
    `search default.svc.cluster.local ${own} corp.example\nnameserver 10.0.0.10\noptions ndots:2 timeout:1\n`,
  );
  t.is(net.resolvConf("host"), "search internal.cloudapp.net\nnameserver 168.63.129.16\n");
  t.regex(net.resolvConf("both"), /nameserver 10\.0\.0\.10/);
  t.is(net.resolvConf("n0"), net.resolvConf("host"));
  end(t, net);
});

test("a program dials a name: web.shop.svc.cluster.local, web.shop, and one that does not exist", (t) => {
  for (const cni of ["azure-overlay", "azure-bridge", "kubenet"] as const) {
    const net = world({ cni });
    t.is(tcp(net, "client", "web.shop.svc.cluster.local:80", 2), "web-0 web-1");
    t.is(tcp(net, "client", "web.shop:80"), "web-0");
    t.is(tcp(net, "client", "web.nowhere:80"), "ENOTFOUND");
    t.is(udp(net, "client", "db-0.db:8080"), "db-0", "a pod by its name in a headless Service");
    end(t, net);
  }
});

test("ndots: 5 dots before a name is tried as it is; the searches come first, A and AAAA together", (t) => {
  const net = world();
  const found = net.soon.lookup("client", "www.example.com");
  net.run({ for: ms(20) });
  t.deepEqual(found.addresses, ["203.0.113.80"]);
  const names = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local", "internal.cloudapp.net"];
  t.deepEqual(
    found.asked.map((q) => `${q.name} ${q.type} ${q.rcode}`),
    [...names.map((n) => `www.example.com.${n}`), "www.example.com"].flatMap((name, i) => [
      `${name} A ${i < 4 ? "NXDOMAIN" : "NOERROR"}`,
      `${name} AAAA ${i < 4 ? "NXDOMAIN" : "NOERROR"}`,
    ]),
  );
  const absolute = net.soon.lookup("client", "www.example.com.");
  net.run({ for: ms(20) });
  t.is(absolute.asked.length, 2, "a dot at the end");
  end(t, net);
});

test("a server that is gone: the query is sent again after 5 s, and given up after two tries", (t) => {
  const net = world();
  for (const pod of ["coredns-0", "coredns-1"]) net.soon.failPod(pod);
  const c = net.tcp("client").connect("web.shop:80");
  const found = net.soon.lookup("client", "web.shop.svc.cluster.local.");
  net.run({ for: sec(4) });
  t.deepEqual([c.error, found.asked.length], [null, 2]);
  net.run({ for: sec(7) });
  t.deepEqual([c.error, found.error, found.asked.length], ["EAI_AGAIN", "EAI_AGAIN", 4]);
  t.is(found.finishedAt, sec(10));
  end(t, net);
});

test("DNS over TCP, and an answer that is too long for UDP", (t) => {
  const net = cluster((aks) => {
    aks.dns({ replicas: 1 });
    aks.deployment("many", { replicas: 40, ...ECHO });
    aks.service("many", { ...UDP, clusterIP: "None" });
    aks.pod("client");
  });
  const name = "many.default.svc.cluster.local";
  const short = net.soon.resolve("client", name);
  const c = net.tcp("client").connect("kube-dns:53");
  const query = encodeDnsQuery(7, name);
  const framed = Buffer.concat([Uint8Array.of(0, query.length), query]);
  // In two pieces: a message is whole when its length says so.
  net.soon.send(c, framed.subarray(0, 10));
  net.at(net.now + ms(20)).send(c, framed.subarray(10));
  net.run({ for: ms(100) });
  t.deepEqual([short.truncated, short.answers.length], [true, 0]);
  const answer = decodeDnsReply(c.received.subarray(2));
  t.is(answer?.answers.length, 40);
  c.close();
  end(t, net);
});

test("a snapshot in the middle of a lookup goes on to the same connection", (t) => {
  const build = (): Net => world({ kubeProxy: { mode: "iptables" } });
  const first = build();
  first.impair("n0/eth0", { delay: ms(3) });
  const c = first.at(ms(10)).connect("client", "web.shop:80");
  first.run({ until: ms(12) });
  const saved = first.snapshot();
  const second = build();
  second.restore(saved);
  for (const net of [first, second]) net.run({ until: ms(200) });
  t.is(c.state, "ESTABLISHED");
  t.is(first.deliveries().find((d) => d.name === "web")?.clusterIp, second.clusterIp("web"));
  t.deepEqual(second.deliveries(), first.deliveries());
  end(t, second);
});
