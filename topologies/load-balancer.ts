// Two web servers behind a Standard load balancer with an internal and a public frontend, probed by the
// platform over real TCP. One server stops: its connections stay where they are, new ones go to the other. A
// connection that nothing uses for four minutes is reset at both ends. And a server that asks its own
// internal frontend is lucky only when it is sent to the other one.

import { defineTopology, expect, ms, type Net, sec } from "vnetem";

const FRONTEND = "10.0.9.10";
const PUBLIC = "20.1.0.1";

export default defineTopology({ seed: 7 }, (t) => {
  const internet = t.internet("internet", { addressSpace: ["198.51.100.0/24"], delay: ms(5) });
  t.vm("customer", { subnet: internet.subnet("hosts", "198.51.100.0/24") });
  const vnet = t.vnet("prod", { addressSpace: ["10.0.0.0/16"] });
  const servers = vnet.subnet("servers", "10.0.0.0/24");
  for (const name of ["web-a", "web-b"]) t.vm(name, { subnet: servers, tcpEcho: 8080 });
  t.vm("client", { subnet: vnet.subnet("clients", "10.0.8.0/24") });
  vnet.subnet("frontends", "10.0.9.0/24");
  t.publicIp("web-ip", { address: PUBLIC });
  const rule = {
    backendPool: "web",
    protocol: "Tcp",
    frontendPort: 80,
    backendPort: 8080,
    probe: "tcp",
  } as const;
  t.loadBalancer("web", {
    frontends: { inner: { subnet: "prod/frontends", address: FRONTEND }, outer: { publicIp: "web-ip" } },
    backendPools: { web: ["web-a", "web-b"] },
    probes: { tcp: { protocol: "Tcp", port: 8080, intervalInSeconds: 5 } },
    rules: {
      inner: { ...rule, frontend: "inner" },
      outer: { ...rule, frontend: "outer", enableTcpReset: true },
    },
  });
});

export function run(net: Net) {
  const many = (at: number, from: string, to: string) =>
    Array.from({ length: 10 }, (_, i) => net.at(at + ms(i)).connect(from, `${to}:80`));
  const inside = many(ms(10), "client", FRONTEND);
  const outside = many(ms(100), "customer", PUBLIC);
  net.run({ until: sec(1) });
  const all = [...inside, ...outside];
  net.log(`twenty connections: ${all.filter((c) => c.state === "ESTABLISHED").length} established`);

  const own = many(sec(1), "web-a", FRONTEND);
  net.run({ until: sec(2) });
  const lucky = own.filter((c) => c.state === "ESTABLISHED").length;
  net.log(`web-a -> its own frontend: ${lucky} of ten connect; the others are sent to web-a itself`);

  // The guest of web-b hangs: its probes go unanswered, and so do its connections.
  net.at(sec(11)).link("web-b/eth0", false);
  net.run({ until: sec(20) });
  const later = many(sec(20), "client", FRONTEND);
  net.run({ until: sec(21) });
  net.log(`web-b hangs: ${later.filter((c) => c.state === "ESTABLISHED").length} of ten new ones connect`);

  net.run({ until: sec(300) });
  const reset = outside.filter((c) => c.error === "ECONNRESET").length;
  net.log(`idle for four minutes: ${reset} public connections were reset, internal ones are over in silence`);
  expect(reset > 0).toBe(true);
}
