// An AKS cluster with nothing in it yet: three nodes in three zones and a client. Made for manifests:
//   vnetem run app.yaml --on topologies/aks.ts
// By itself it applies a small one: a Deployment with a readiness probe, and its Service.

import { defineTopology, expect, type Net, sec } from "vnetem";

export default defineTopology({ seed: 7 }, (t) => {
  const vnet = t.vnet("prod", { addressSpace: ["10.224.0.0/12"] });
  const aks = t.cluster("aks", { subnet: vnet.subnet("nodes", "10.224.0.0/16"), cni: "azure-overlay" });
  for (const zone of ["1", "2", "3"]) aks.node(`aks-nodepool1-${zone}`, { zone: `westeurope-${zone}` });
  aks.pod("client");
});

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 3
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - name: nginx
          image: nginx:1.29
          ports: [{ name: http, containerPort: 8080 }]
          resources: { requests: { cpu: 100m, memory: 64Mi } }
          readinessProbe: { httpGet: { path: /, port: http }, periodSeconds: 5, initialDelaySeconds: 5 }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: http }]
`;

export function run(net: Net) {
  for (const { object, result } of net.apply(WEB).objects) net.log(`${object} ${result}`);
  net.run({ until: sec(5) });
  const early = net.soon.connect("client", "web:80");
  net.run({ until: sec(10) });
  net.log(`after 5 s no pod is ready: ${early.error}`);
  for (const pod of net.podInfos("web")) net.log(`${pod.name} on ${pod.node}: ready ${pod.ready}`);
  const later = net.soon.connect("client", "web:80");
  later.send("hello");
  net.run({ for: sec(1) });
  net.log(`after 10 s: "${later.text}"`);
  later.close();
  expect(later.text).toBe("hello");
}
