// Names that pods of manifests have in their headless Service, and Services that labels keep from kube-proxy.

import test from "ava";
import { ms, sec } from "../../src/emulator/units.ts";
import { cluster, end } from "./kit.ts";

const MANIFEST = `
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  serviceName: db
  replicas: 2
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: pg, image: pg, ports: [{ name: pg, containerPort: 5432 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { clusterIP: None, selector: { app: db }, ports: [{ name: sql, port: 5432, targetPort: pg }] }
---
apiVersion: v1
kind: Pod
metadata: { name: lone, labels: { app: lone } }
spec:
  hostname: leader
  subdomain: one
  containers: [{ name: a, image: a, ports: [{ containerPort: 80 }] }]
---
apiVersion: v1
kind: Service
metadata: { name: one }
spec: { clusterIP: None, selector: { app: lone }, ports: [{ port: 80 }] }
`;

test("a pod of a StatefulSet has a stable name in its Service, also with another address", (t) => {
  const net = cluster((aks) => {
    aks.dns();
    aks.pod("client", { node: "n0" });
  });
  net.apply(MANIFEST);
  t.true(net.rolledOut({ within: sec(20) }));
  const ask = (name: string): readonly string[] => {
    const asked = net.soon.resolve("client", `${name}.default.svc.cluster.local`);
    net.run({ for: ms(50) });
    return asked.addresses;
  };
  const [first, second] = ["db-0", "db-1"].map((name) => net.pod(name).ip);
  t.deepEqual(ask("db-0.db"), [first]);
  t.deepEqual(ask("db-1.db"), [second]);
  t.deepEqual(ask("db"), [first, second]);
  t.deepEqual(ask("leader.one"), [net.pod("lone").ip]);
  t.deepEqual(ask("lone.one"), [], "its name is its hostname");
  const srv = net.soon.resolve("client", "_sql._tcp.db.default.svc.cluster.local", { type: "SRV" });
  net.run({ for: ms(50) });
  t.deepEqual(
    srv.answers.map((one) => (one.data as { port: number; target: string }).port),
    [5432, 5432],
    "the port that pg is the name of",
  );
  const other = net.soon.connect("client", "db-1.db.default.svc.cluster.local:5432");
  net.soon.kubectl.delete("pod/db-0");
  net.run({ for: sec(5) });
  t.not(other.connectedAt, null);
  t.not(net.pod("db-0").ip, first);
  t.deepEqual(ask("db-0.db"), [net.pod("db-0").ip]);
  end(t, net);
});

test("K1.1 a Service that its labels keep from kube-proxy has an address and no rules", (t) => {
  const net = cluster((aks) => {
    aks.pod("web", { node: "n1", udpEcho: 80 });
    aks.pod("client", { node: "n0" });
  });
  const service = (name: string, labels: string): string =>
    `{apiVersion: v1, kind: Service, metadata: { name: ${name}, labels: { ${labels} } },
      spec: { selector: { app: web }, ports: [{ port: 80, protocol: UDP }] } }`;
  net.apply(service("mine", "a: b"));
  net.apply(service("other", "service.kubernetes.io/service-proxy-name: cilium"));
  const sent = ["mine", "other"].map((name) => net.soon.udp("client", `${name}:80`, "x"));
  net.run({ for: ms(50) });
  t.deepEqual(
    sent.map((s) => s.deliveredTo),
    ["web", null],
  );
  end(t, net);
});
