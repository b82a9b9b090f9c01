// Every case, in the order of the fact sheet.

import type { NodeCase } from "../case.ts";
import { cases as azure } from "./azure.ts";
import { cases as services } from "./k1-services.ts";
import { cases as changes } from "./k2-changes.ts";
import { cases as sameNodeService } from "./k3-2-same-node-service.ts";
import { cases as nat } from "./k3-3-nat.ts";
import { cases as states } from "./k3-4-states.ts";
import { cases as window } from "./k3-5-window.ts";
import { cases as bothWays } from "./k3-6-both-ways.ts";
import { cases as icmp } from "./k3-6-icmp.ts";
import { cases as checksums } from "./k3-7-checksums.ts";
import { cases as bridge } from "./k4-1-bridge.ts";
import { cases as arp } from "./k4-2-arp.ts";
import { cases as forwarding } from "./k4-3-forwarding.ts";
import { cases as learned } from "./k4-3-learned.ts";
import { cases as options } from "./k4-3-options.ts";
import { cases as podStack } from "./k5-pod-stack.ts";

export const CASES: NodeCase[] = [
  ...services,
  ...changes,
  ...sameNodeService,
  ...nat,
  ...states,
  ...window,
  ...icmp,
  ...bothWays,
  ...checksums,
  ...bridge,
  ...arp,
  ...forwarding,
  ...learned,
  ...options,
  ...podStack,
  ...azure,
];
