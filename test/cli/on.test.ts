// A manifest in the place of a topology, --on one: what get, explain and show say once it has been applied.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { cleanUp, dir, TOPOLOGIES, vnetem } from "./command.ts";

test.after.always(cleanUp);

const AKS = join(TOPOLOGIES, "aks.ts");
const FILE = join(dir, "db.yaml");
writeFileSync(
  FILE,
  `apiVersion: v1
kind: Pod
metadata: { name: db }
spec: { containers: [{ name: db, image: db, ports: [{ containerPort: 5432 }] }] }
---
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { ports: [{ port: 5432 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: db-1, labels: { kubernetes.io/service-name: db } }
addressType: IPv4
ports: [{ name: "", port: 5432, protocol: TCP }]
endpoints: [{ addresses: [10.9.9.9], targetRef: { kind: Pod, name: db } }]
`,
);

test("get prints what the manifest has become", async (t) => {
  const { code, stdout, stderr } = await vnetem("get", FILE, "endpoints", "-n", "default", "--on", AKS);
  t.is(stderr, "");
  t.is(code, 0);
  t.regex(stdout, /^db +10\.244\.\d\.\d:5432 /m);
});

test("explain and show see it, too", async (t) => {
  const explained = await vnetem("explain", FILE, "client", "db:5432", "--proto", "tcp", "--on", AKS);
  t.is(explained.code, 0);
  t.regex(explained.stdout, /^tcp from client to db:5432: delivered to db, answered/);
  const shown = await vnetem("show", FILE, "aks-nodepool1-1", "nat", "--on", AKS);
  t.regex(shown.stdout, /--comment "default\/db -> 10\.244\.\d\.\d:5432"/);
});

test("one without the other is refused", async (t) => {
  const alone = await vnetem("get", FILE, "pods");
  t.is(alone.code, 2);
  t.regex(alone.stderr, /db\.yaml is a manifest: name the topology it is for, --on topology\.ts/);
  const both = await vnetem("get", AKS, "pods", "--on", AKS);
  t.is(both.code, 2);
  t.regex(both.stderr, /--on is for manifests/);
});
