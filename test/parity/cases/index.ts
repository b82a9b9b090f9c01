// Every case, in the order of the fact sheet.

import type { NodeCase } from "../case.ts";
import { cases as services } from "./k1-services.ts";
import { cases as changes } from "./k2-changes.ts";
import { cases as sameNodeService } from "./k3-2-same-node-service.ts";
import { cases as bridge } from "./k4-1-bridge.ts";
import { cases as arp } from "./k4-2-arp.ts";

export const CASES: NodeCase[] = [...services, ...changes, ...sameNodeService, ...bridge, ...arp];
