// One backend lies behind a small MTU, and its router says so: ICMP 3/4. The client's kernel knows the
// Service's address only, so it keeps the small path MTU for all backends, for ten minutes.

import { ms, type Net } from "vnetem";
import { checksum, cluster, ECHO, frame, incident, two, UDP } from "./incident.ts";

const { topology, run } = incident({
  title: "One small path slows a Service",
  reference: "seen on Linux 6.18",
  why: "the exception is kept by destination, and the destination is the Service's address",
  network(t) {
    const aks = cluster(t, 2);
    aks
      .deployment("web", { replicas: 2, ...ECHO })
      .service("web", UDP)
      .pod("client", { labels: {} });
  },
  play(net, isFixed) {
    // The gateway is known from here on: no ARP is among the frames counted.
    net.soon.udp("client", "web:80", 10, { sourcePort: 4000 });
    net.run({ for: ms(10) });
    if (!isFixed) {
      const header = [0x45, 0, ...two(1228), 0, 1, 0x40, 0, 63, 17, 0, 0];
      const [client, vip] = [net.pod("client").ip, net.clusterIp("web")];
      const quoted = [...header, ...[...client.split("."), ...vip.split(".")].map(Number)];
      quoted.splice(10, 2, ...two(checksum(quoted)));
      const icmp = [3, 4, 0, 0, 0, 0, ...two(800), ...quoted, ...two(4000), ...two(80), ...two(1208), 0, 0];
      icmp.splice(2, 2, ...two(checksum(icmp)));
      const packet = frame(net, "client/eth0", { src: vip, dst: client, protocol: 1 }, icmp);
      // From the other end of the pod's veth: the MACs change places.
      packet.set([...packet.slice(6, 12), ...packet.slice(0, 6)]);
      net.soon.injectFrame("client/eth0", packet);
      net.run({ for: ms(10) });
    }
    return `1,200 bytes leave in ${sent(net)} and ${sent(net)} frames`;
  },
  broken: "1,200 bytes leave in 2 and 2 frames",
  fixed: "1,200 bytes leave in 1 and 1 frames",
});

export default topology;
export { run };

/** Frames of one datagram that leave the client. */
function sent(net: Net): number {
  const { dev } = net.walk.k;
  const eth0 = net.hosts.device("client/eth0");
  // Devices are told what the flow cache has spared them when somebody asks.
  net.walk.cache.flush();
  const before = dev.txPackets[eth0] ?? 0;
  net.soon.udp("client", "web:80", 1200);
  net.run({ for: ms(20) });
  net.walk.cache.flush();
  return (dev.txPackets[eth0] ?? 0) - before;
}
