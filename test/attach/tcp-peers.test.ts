// The kernel's TCP and ours, through a TAP device (tcp-peers.ts): as much as npm test has time for, and
// twenty times that after npm run parity.

import { real } from "./kit.ts";
import { LINKS, tcpPeers } from "./tcp-peers.ts";

const MORE = Number(process.env.VNETEM_PEERS ?? 1);

for (const [name, link] of Object.entries(LINKS)) {
  real(`kernel TCP and ours agree over a link with ${name}`, [], (t) =>
    tcpPeers(t, link, { bytes: MORE * 1_000_000, requests: MORE * 30 }),
  );
}
