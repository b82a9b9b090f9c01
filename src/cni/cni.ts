// Attaching pods to nodes in this process: plain functions on columns, the same steps the plugins take when
// they are called with JSON (plugins/). A Cni belongs to one emulation; a node is a row of `nodes`, a pod a
// row of `pods`.

import { assert } from "../core/assert.ts";
import { AttachmentState, Attachments } from "./attachments.ts";
import { createRangeSet, describe, holdsAny, type RangeSet } from "./ipam/host-local.ts";
import {
  attachAzureBridge,
  checkAzureBridge,
  detachAzureBridge,
  setUpAzureBridge,
} from "./modes/azure-bridge.ts";
import { secondaryAddresses } from "./modes/fabric.ts";
import { type Identities, isWired, type Kit, type MacChoice } from "./modes/kit.ts";
import { attachKubenet, checkKubenet, detachKubenet, type PodRoute, setUpKubenet } from "./modes/kubenet.ts";
import { attachTransparent, checkTransparent, detachTransparent } from "./modes/transparent.ts";
import { endpointId } from "./names.ts";
import {
  type AzureSettings,
  type BridgeSettings,
  type CniNode,
  createNode,
  MODE_NAMES,
  type ModeName,
  type NodeSpec,
} from "./node.ts";

export interface CniOptions {
  seed?: number;
  macs?: MacChoice;
}

/** How one attachment is wired when it is not as its node's own settings say. */
export interface Wiring {
  mode: ModeName;
  azure: AzureSettings;
  kubenet: BridgeSettings;
  routes?: readonly PodRoute[] | undefined;
}

export class Cni {
  readonly kit: Kit;
  readonly nodes: CniNode[] = [];
  readonly pods: Attachments;
  readonly ids: Identities;

  constructor(kit: Kit, options: CniOptions = {}) {
    this.kit = kit;
    const seed = options.seed ?? 1;
    const macs = options.macs ?? "random";
    this.pods = new Attachments(seed);
    this.ids = { seed, macs, macCount: 0, nameCount: 0 };
  }

  /** The node's NIC must have its address and its default route by now, and be up. Returns the node's row. */
  addNode(spec: NodeSpec): number {
    return this.nodes.push(createNode(spec)) - 1;
  }

  /**
   * What azure-vnet and bridge do on the first ADD: bridge, rules, forwarding. Doing it twice changes
   * nothing.
   */
  setUpNode(n: number): void {
    const node = this.nodes[n];
    this.prepare(node);
    if (node.mode === "azure-bridge") setUpAzureBridge(this.kit, node, node.azure, false);
    else if (node.mode === "azure-tunnel") setUpAzureBridge(this.kit, node, node.azure, true);
    else if (node.mode === "kubenet") setUpKubenet(this.kit, node, node.kubenet);
  }

  /**
   * ADD for a pod of this emulation: an address and the node's wiring.
   * @param ns the pod's network namespace, without an interface of this name
   * @param pod "<namespace>.<name>"
   * @returns the attachment, or -1 when no address is available; then nothing was made
   */
  attach(n: number, ns: number, pod: string, ifname = "eth0"): number {
    const node = this.nodes[n];
    const row = this.lease(n, node.network, "", ifname);
    if (!this.requestAddress(node, row)) {
      this.settle(row);
      return -1;
    }
    this.pods.pod[row] = pod;
    this.wire(row, ns, node);
    return row;
  }

  /**
   * DEL: the wiring and the address go. Its devices may stay until the namespace is removed (transparent
   * mode).
   */
  detach(row: number): void {
    const { pods } = this;
    if (pods.state[row] === AttachmentState.FREE) return;
    this.unwire(row);
    this.releaseAddress(this.nodes[pods.node[row]], row);
    this.settle(row);
  }

  /** CHECK: what is not as ADD made it; empty when all is well. */
  check(row: number): string[] {
    const { pods, kit } = this;
    if (pods.state[row] !== AttachmentState.WIRED) return ["the container is not attached"];
    const node = this.nodes[pods.node[row]];
    if (!isWired(kit, pods, row, node.ns)) return [`interface ${pods.ifname[row]} is missing`];
    const { k } = kit;
    const out: string[] = [];
    if (k.dev.up[pods.podDev[row]] === 0) out.push(`interface ${pods.ifname[row]} is down`);
    if (k.dev.up[pods.hostDev[row]] === 0) out.push(`interface ${k.dev.name[pods.hostDev[row]]} is down`);
    if (k.inet.find(pods.podDev[row], pods.address[row]) < 0) out.push("the address is missing");
    return [...out, ...this.checkMode(node, row)];
  }

  // ---- the parts, for plugins that are told more than a node's own settings ----

  /** A new row for an attachment; `containerId` is empty for a container of this process. */
  lease(n: number, network: string, containerId: string, ifname: string): number {
    const row = this.pods.add(n, network, containerId, ifname);
    const node = this.nodes[n];
    this.pods.prev[row] = -1;
    this.pods.next[row] = node.first;
    if (node.first >= 0) this.pods.prev[node.first] = row;
    node.first = row;
    node.count++;
    return row;
  }

  /** The attachment of a node, or -1. */
  find(n: number, network: string, containerId: string, ifname: string): number {
    const { pods } = this;
    for (let row = this.nodes[n].first; row >= 0; row = pods.next[row]) {
      if (pods.ifname[row] !== ifname || pods.network[row] !== network) continue;
      if (pods.containerIdOf(row) === containerId) return row;
    }
    return -1;
  }

  /** Builds the interfaces of a leased attachment that has its address. */
  wire(row: number, ns: number, wiring: Wiring): void {
    const { pods, kit, ids } = this;
    const node = this.nodes[pods.node[row]];
    assert(
      pods.state[row] === AttachmentState.LEASED && pods.address[row] !== 0,
      "wiring without an address",
    );
    this.prepare(node);
    pods.ns[row] = ns;
    pods.mode[row] = MODE_NAMES.indexOf(wiring.mode);
    switch (wiring.mode) {
      case "azure-bridge":
      case "azure-tunnel":
        attachAzureBridge(kit, ids, node, pods, row, wiring.azure, wiring.mode === "azure-tunnel");
        break;
      case "azure-transparent":
      case "azure-overlay":
        attachTransparent(kit, ids, node, pods, row);
        break;
      case "kubenet":
        attachKubenet(kit, ids, node, pods, row, wiring.kubenet, wiring.routes);
    }
    pods.state[row] = AttachmentState.WIRED;
  }

  /** Takes down what wire() built; the address stays leased. */
  unwire(row: number): void {
    const { pods, kit } = this;
    if (pods.state[row] !== AttachmentState.WIRED) return;
    const node = this.nodes[pods.node[row]];
    switch (MODE_NAMES[pods.mode[row]]) {
      case "azure-bridge":
      case "azure-tunnel":
        detachAzureBridge(kit, node, pods, row);
        break;
      case "azure-transparent":
      case "azure-overlay":
        detachTransparent(kit, node, pods, row);
        break;
      case "kubenet":
        detachKubenet(kit, node, pods, row);
    }
    pods.state[row] = AttachmentState.LEASED;
    pods.ns[row] = pods.podDev[row] = pods.hostDev[row] = -1;
  }

  /** An address of the node's own source for this attachment; false when there is none. */
  requestAddress(node: CniNode, row: number): boolean {
    const { azureVnet, cns } = node.ipam;
    if (azureVnet !== null) {
      let at = azureVnet.request(row);
      if (at < 0 && this.refresh(node)) at = azureVnet.request(row);
      return at >= 0 && this.note(row, azureVnet.pool.address[at], azureVnet.prefix, azureVnet.gateway);
    }
    if (cns !== null) {
      const at = cns.up ? cns.request(row) : -1;
      return at >= 0 && this.note(row, cns.pool.address[at], cns.prefix, cns.gateway);
    }
    const [set] = this.hostLocalSets(node);
    if (set === undefined) return false;
    const at = set.pool.request(row);
    if (at < 0) return false;
    const { address, prefix, gateway } = describe(set, at);
    return this.note(row, address, prefix, gateway);
  }

  /** azure-vnet-ipam asks the platform what the NIC's addresses are; false when it asked a moment ago. */
  refresh(node: CniNode): boolean {
    const { k, vnet } = this.kit;
    const nic = k.dev.nic[node.uplink];
    if (node.ipam.azureVnet === null || nic < 0) return false;
    return node.ipam.azureVnet.refresh(k.clock.now, secondaryAddresses(vnet, nic));
  }

  /** The CNS daemon of a node stops, or comes back and works off the releases it missed. */
  setCnsUp(n: number, up: boolean): void {
    const { cns } = this.nodes[n].ipam;
    if (cns === null) return;
    const missed = [...cns.deleteIds.values()];
    cns.setUp(up);
    if (up) for (const { owner } of missed) this.settle(owner);
  }

  /** Gives the attachment's address back to the node's own source. */
  releaseAddress(node: CniNode, row: number): void {
    const { pods } = this;
    const { azureVnet, cns } = node.ipam;
    azureVnet?.release(row);
    if (cns !== null) {
      const id = cns.up ? "" : pods.containerIdOf(row);
      cns.releaseOrDefer(row, id, endpointId(id, pods.ifname[row]));
    }
    for (const set of node.hostLocal.get(node.network) ?? []) set.pool.release(row);
    pods.address[row] = 0;
  }

  /** Forgets a row that is neither wired nor holds an address (as one does that CNS has yet to take back). */
  settle(row: number): void {
    const { pods } = this;
    if (pods.state[row] !== AttachmentState.LEASED) return;
    const node = this.nodes[pods.node[row]];
    if (holdsAddress(node, row)) return;
    if (pods.prev[row] >= 0) pods.next[pods.prev[row]] = pods.next[row];
    else node.first = pods.next[row];
    if (pods.next[row] >= 0) pods.prev[pods.next[row]] = pods.prev[row];
    node.count--;
    pods.remove(row);
  }

  /** The address the attachment now has. */
  note(row: number, address: number, prefix: number, gateway: number): true {
    this.pods.address[row] = address;
    this.pods.prefix[row] = prefix;
    this.pods.gateway[row] = gateway;
    return true;
  }

  private hostLocalSets(node: CniNode): RangeSet[] {
    const had = node.hostLocal.get(node.network);
    if (had !== undefined) return had;
    const made = (node.ipam.hostLocal ?? []).map(createRangeSet);
    node.hostLocal.set(node.network, made);
    return made;
  }

  // What every node has before its first pod: its own address is known, and it forwards (docs/cni.md asks for
  // it).
  private prepare(node: CniNode): void {
    if (node.address !== 0) return;
    const { k, ip } = this.kit;
    const r = k.inet.firstOf(node.uplink);
    assert(r >= 0, "a node's NIC has an address before pods come");
    node.address = k.inet.addr[r];
    const route = ip.fib.lookupOn(node.ns, 0, node.uplink);
    node.gateway = route >= 0 ? ip.fib.gateway[route] : 0;
    k.setNsSysctl(node.ns, "net.ipv4.ip_forward", 1);
  }

  private checkMode(node: CniNode, row: number): string[] {
    const { kit, pods } = this;
    const mode = MODE_NAMES[pods.mode[row]];
    if (mode === "kubenet") return checkKubenet(kit, node, pods, row, node.kubenet);
    if (mode === "azure-bridge" || mode === "azure-tunnel") {
      return checkAzureBridge(kit, node, pods, row, mode === "azure-tunnel");
    }
    return checkTransparent(kit, node, pods, row);
  }
}

function holdsAddress(node: CniNode, row: number): boolean {
  const { azureVnet, cns } = node.ipam;
  if (azureVnet !== null && azureVnet.pool.rowOf(row) >= 0) return true;
  if (cns !== null && cns.pool.rowOf(row) >= 0) return true;
  for (const sets of node.hostLocal.values()) if (holdsAny(sets, row)) return true;
  return false;
}
