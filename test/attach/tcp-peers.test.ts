// The kernel's TCP and ours, through a TAP device (tcp-peers.ts), as much as npm test has time for.

import { real } from "./kit.ts";
import { LINKS, tcpPeers } from "./tcp-peers.ts";

for (const [name, link] of Object.entries(LINKS)) {
  real(`kernel TCP and ours agree over a link with ${name}`, [], (t) =>
    tcpPeers(t, link, { bytes: 1_000_000, requests: 30 }),
  );
}
