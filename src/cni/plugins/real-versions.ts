// Which versions the real binaries speak. Under its own name vnetem speaks every version for every plugin;
// called by the name of a plugin it answers as that plugin does.

import { CNI_VERSIONS, type CniVersion } from "../spec/version.ts";

/** azure-container-networking cni/cni.go: 0.1.0 to 1.0.0, no GC, no STATUS (azure.md 5.13). */
export const azureVersions: readonly CniVersion[] = CNI_VERSIONS.filter((version) => version < "1.1");

/** containernetworking/plugins since 1.6: all. */
export const referenceVersions: readonly CniVersion[] = CNI_VERSIONS;
