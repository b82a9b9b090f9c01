// What a runtime remembers of every attachment: the final ADD result and the arguments, for DEL, CHECK and
// GC. Mirrors libcni's cache directory (libcni/api.go cachedInfo): one entry per (network, container,
// interface).

import type { JsonObject } from "./json.ts";

export interface CachedAttachment {
  network: string;
  containerId: string;
  ifname: string;
  netns: string;
  args: string;
  capabilityArgs: JsonObject;
  /** The result of the last plugin, in the version of the configuration. */
  result: JsonObject;
}

/** Keyed by cacheKey(); a plain Map, so that a snapshot keeps it. */
export type AttachmentCache = Map<string, CachedAttachment>;

/** No part can hold a newline: names are checked before. */
export function cacheKey(network: string, containerId: string, ifname: string): string {
  return `${network}\n${containerId}\n${ifname}`;
}
