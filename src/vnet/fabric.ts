// The Azure fabric between NICs: VNets, subnets, NICs with their addresses, routes. This file is the control
// plane; a frame passes through egress.ts, route.ts and ingress.ts. Rows: azure.md sections 1 and 2. Callers
// ask check.ts first whether a request is allowed; here a wrong one is our own mistake and trips an
// assertion.
// peerings.ts holds the links between VNets, security-control.ts what concerns security rules.
// gateways.ts holds connections to sites.
// private-endpoints.ts holds endpoints and Private Link services, platform.ts the way to 168.63.129.16.
// Public addresses, SNAT and load balancers: internet.ts, outbound.ts, balancers.ts. Overlays: overlay.ts.
// Absent: removing a private endpoint, moving a NIC to another subnet, removing a VNet or subnet.

import { assert } from "../core/assert.ts";
import { PrefixTable } from "../core/prefix-table.ts";
import { Noted } from "../node/consulted.ts";
import type { Kernel } from "../node/kernel.ts";
import { DevKind } from "../node/net-device.ts";
import {
  AZURE_LIMITS,
  DEFAULT_MTU,
  DEFAULT_SETTINGS,
  type FabricSettings,
  type Limits,
  NextHop,
  RouteSource,
  SYSTEM_ROUTES,
} from "./azure.ts";
import { Balancers } from "./balancers.ts";
import { FlowKey } from "./flow-key.ts";
import { Flows } from "./flows.ts";
import { FragmentFlows } from "./fragment-flows.ts";
import { exchangeRoutes, Gateways, type Learned } from "./gateways.ts";
import { IpConfigs } from "./ip-configs.ts";
import { Links } from "./links.ts";
import { nicMacHi, nicMacLo } from "./mac.ts";
import { Nics } from "./nics.ts";
import { Outbound } from "./outbound.ts";
import { clearOverlay } from "./overlay.ts";
import { Peerings, spreadPrefix } from "./peerings.ts";
import type { Policy } from "./policy.ts";
import { isEndpointOverridden, PrivateEndpoints } from "./private-endpoints.ts";
import { Probes } from "./probes.ts";
import { PublicAddresses } from "./public-addresses.ts";
import { Routes } from "./routes.ts";
import { leaveApplications, police } from "./security-control.ts";
import { SecurityGroups } from "./security-groups.ts";
import { Subnets, Vnets } from "./subnets.ts";
import { Translations } from "./translations.ts";

export type { FabricSettings, Limits };

export class Fabric {
  readonly vnets = new Vnets();
  readonly subnets = new Subnets();
  readonly nics = new Nics();
  readonly configs = new IpConfigs();
  readonly routes = new Routes();
  readonly peerings = new Peerings();
  readonly gateways = new Gateways();
  /** By list of routes: 1 where a route table keeps gateway routes out of its subnets (R6). */
  readonly blocksPropagation: number[] = [];
  readonly security = new SecurityGroups();
  readonly flows = new Flows();
  readonly links = new Links();
  readonly endpoints = new PrivateEndpoints();
  /** Row among the VNets of the described internet, -1 when there is none. */
  internet = -1;
  readonly publics = new PublicAddresses();
  readonly outbound = new Outbound();
  readonly balancers = new Balancers();
  readonly probes = new Probes();
  readonly translations = new Translations();
  /** What the packet in hand is known by; each user reads it anew. */
  readonly key = new FlowKey();
  /** The same of what an ICMP error quotes, while the packet itself is still in hand. */
  readonly quoted = new FlowKey();
  /** Compiled rules by security group, subnet and direction (policy.ts). */
  readonly policies = new Map<number, Policy>();
  /** Counts changes of whatever rules are made of: the rules, and the addresses tags and ASGs stand for. */
  policyGeneration = 0;
  /** Names of user-defined route tables, by list of routes.ts; "" for the system routes of a VNet. */
  readonly tableNames: string[] = [];
  tables = 0;
  /** Owner: overlay domain. Value: NIC whose node has that range of pods. */
  readonly overlay = new PrefixTable();
  domains = 0;
  readonly fragments: FragmentFlows;
  readonly settings: FabricSettings;
  readonly limits: Limits;
  /** MACs handed out so far; none comes twice. */
  macs = 0;

  readonly k: Kernel;

  constructor(k: Kernel, settings: Partial<FabricSettings> = {}, limits: Partial<Limits> = {}) {
    this.k = k;
    this.settings = { ...DEFAULT_SETTINGS, ...settings };
    this.limits = { ...AZURE_LIMITS, ...limits };
    this.fragments = new FragmentFlows(this.settings.fragmentFlows);
  }

  // ---- VNets and subnets ----

  /** @param delay time between two of its NICs, ns */
  addVnet(name: string, delay = 0): number {
    const system = this.routes.addList();
    this.tableNames[system] = "";
    for (const [key, length, type] of SYSTEM_ROUTES) {
      this.routes.set(system, key, length, type, 0, RouteSource.SYSTEM);
    }
    return this.vnets.add(name, system, this.routes.addList(), delay);
  }

  /** One more prefix of the address space (V6): a VnetLocal route, in place of an equal None route (2.1). */
  addAddressSpace(vnet: number, network: number, length: number): void {
    this.setSystemRoute(vnet, network, length, NextHop.VNET_LOCAL, 0);
    spreadPrefix(this, vnet, network, length);
    exchangeRoutes(this);
  }

  /** A route of every subnet of the VNet. @param nextHop row of the peer for VNET_PEERING, 0 otherwise */
  setSystemRoute(vnet: number, network: number, length: number, type: NextHop, nextHop: number): void {
    this.policyChanges();
    this.routes.set(this.vnets.system[vnet], network, length, type, nextHop, RouteSource.SYSTEM);
    this.reselectVnet(vnet, network, length);
  }

  /** Takes such a route back; one that replaced a route of every VNet (2.1) gives it its place again. */
  resetSystemRoute(vnet: number, network: number, length: number): void {
    const { routes } = this;
    const system = this.vnets.system[vnet];
    this.policyChanges();
    routes.remove(system, network, length);
    for (const [key, keyLength, type] of SYSTEM_ROUTES) {
      if (key === network && keyLength === length) {
        routes.set(system, key, keyLength, type, 0, RouteSource.SYSTEM);
      }
    }
    this.reselectVnet(vnet, network, length);
  }

  setDelay(vnet: number, delay: number): void {
    this.k.consulted.changedAll();
    this.vnets.delay[vnet] = delay;
  }

  addSubnet(vnet: number, name: string, network: number, length: number): number {
    const s = this.subnets.add(vnet, name, network, length);
    this.selectAll(s, this.vnets.system[vnet]);
    this.selectAll(s, this.vnets.learned[vnet]);
    this.vnets.subnets[vnet]++;
    return s;
  }

  /** The lowest free address of a subnet, 0 when it is full. */
  lowestFree(subnet: number): number {
    return this.subnets.lowestFree(subnet, this.configs);
  }

  // ---- NICs ----

  /** Plugs a device into a subnet under `addr`, or the lowest free address for 0; -1 when there is none. */
  addNic(subnet: number, addr: number, dev: number): number {
    const { k, nics, subnets } = this;
    assert(k.dev.kind[dev] === DevKind.NIC && k.dev.nic[dev] < 0, "only an unplugged NIC goes into a subnet");
    const primary = addr === 0 ? this.lowestFree(subnet) : addr;
    if (primary === 0) return -1;
    const nic = nics.add(dev, subnets.vnet[subnet], subnet);
    nics.mtu[nic] = DEFAULT_MTU;
    k.dev.nic[dev] = nic;
    this.renewMac(nic);
    this.chain(nic, primary);
    police(this, nic);
    return nic;
  }

  /** Unplugs and forgets a NIC; its addresses are free again. Frames under way to it end on arrival. */
  removeNic(nic: number): void {
    const { k, nics } = this;
    k.consulted.changed(Noted.NIC, nic, 0);
    clearOverlay(this, nic);
    leaveApplications(this, nic);
    this.flows.removeNic(nic);
    this.outbound.removeNic(nic, this.publics);
    this.translations.removeNic(nic);
    this.balancers.removeNic(nic, this.probes);
    for (let c = nics.last[nic]; c >= 0; c = nics.last[nic]) this.unchain(nic, c);
    if (this.isPlugged(nic)) k.dev.nic[nics.dev[nic]] = -1;
    nics.remove(nic);
  }

  /** False when the guest's device went away without the NIC being removed. */
  isPlugged(nic: number): boolean {
    const dev = this.nics.dev[nic];
    return this.k.dev.nic[dev] === nic && this.k.dev.kind[dev] === DevKind.NIC;
  }

  /** A secondary IP configuration (V80): `addr`, or the lowest free one for 0. Its address; 0 when full. */
  addIpConfig(nic: number, addr: number): number {
    const chosen = addr === 0 ? this.lowestFree(this.nics.subnet[nic]) : addr;
    if (chosen !== 0) this.chain(nic, chosen);
    return chosen;
  }

  /** Removes a secondary configuration; the primary one stays (V80). */
  removeIpConfig(nic: number, addr: number): void {
    const row = this.configs.find(this.nics.vnet[nic], addr);
    assert(row >= 0 && this.configs.nic[row] === nic, "the NIC has this address");
    assert(row !== this.nics.primary[nic], "the primary configuration cannot be removed");
    this.unchain(nic, row);
  }

  /** Another primary address (0: the lowest free), so another MAC (V18). False when the subnet is full. */
  setPrimaryAddress(nic: number, addr: number): boolean {
    const { configs, nics, subnets } = this;
    const subnet = nics.subnet[nic];
    const row = nics.primary[nic];
    const chosen = addr === 0 ? this.lowestFree(subnet) : addr;
    if (chosen === 0) return false;
    const old = configs.addr[row];
    if (chosen === old) return true;
    assert(configs.find(nics.vnet[nic], chosen) < 0, "address twice in one VNet");
    this.k.consulted.changed(Noted.VNET_ADDRESS, nics.vnet[nic], old);
    this.k.consulted.changed(Noted.VNET_ADDRESS, nics.vnet[nic], chosen);
    configs.rename(row, chosen);
    subnets.take(subnet, chosen);
    subnets.give(subnet, old);
    this.renewMac(nic);
    if (nics.groups[nic] > 0) this.policyChanges();
    return true;
  }

  primaryAddress(nic: number): number {
    return this.configs.addr[this.nics.primary[nic]];
  }

  setIpForwarding(nic: number, on: boolean): void {
    this.k.consulted.changed(Noted.NIC, nic, 0);
    this.nics.ipForwarding[nic] = on ? 1 : 0;
  }

  /** Longest IP datagram the NIC's port carries (V40, V45). */
  setMtu(nic: number, mtu: number): void {
    this.k.consulted.changed(Noted.NIC, nic, 0);
    this.nics.mtu[nic] = mtu;
  }

  /** Stops or starts the VM whose namespace this is: all its NICs. Addresses and MACs stay (V18). */
  setVmRunning(ns: number, on: boolean): void {
    const { k, nics } = this;
    for (let d = k.ns.firstDev[ns]; d >= 0; d = k.dev.nextInNs[d]) {
      if (k.dev.nic[d] < 0) continue;
      k.consulted.changed(Noted.NIC, k.dev.nic[d], 0);
      nics.running[k.dev.nic[d]] = on ? 1 : 0;
    }
  }

  /** The NIC that has this address in the VNet, or -1. */
  nicOf(vnet: number, addr: number): number {
    const row = this.configs.find(vnet, addr);
    return row < 0 ? -1 : this.configs.nic[row];
  }

  /** V53: one of its IP configurations, or in its node's range of an overlay. */
  owns(nic: number, addr: number): boolean {
    if (this.nicOf(this.nics.vnet[nic], addr) === nic) return true;
    const domain = this.nics.domain[nic];
    return domain >= 0 && this.overlayNic(domain, addr) === nic;
  }

  /** One of its own, or a frontend that reaches it unchanged (P52). */
  accepts(nic: number, addr: number): boolean {
    return this.owns(nic, addr) || this.balancers.floats(nic, addr);
  }

  /** An address of a subnet that no NIC may have: a load balancer's. */
  reserveAddress(subnet: number, addr: number): void {
    const vnet = this.subnets.vnet[subnet];
    assert(this.configs.find(vnet, addr) < 0, "address twice in one VNet");
    this.k.consulted.changed(Noted.VNET_ADDRESS, vnet, addr);
    this.configs.add(vnet, addr, -1);
    this.vnets.addresses[vnet]++;
    this.subnets.take(subnet, addr);
  }

  // ---- overlay routing domains (azure.md 5.11, C48: pod addresses unknown to the VNet, carried without
  // encapsulation) ----

  /** The NIC whose node holds this pod address, or -1. */
  overlayNic(domain: number, addr: number): number {
    const row = this.overlay.longest(domain, addr);
    return row < 0 ? -1 : this.overlay.value[row];
  }

  // ---- user-defined routes (2.3) ----

  addRouteTable(name: string): number {
    const table = this.routes.addList();
    this.tableNames[table] = name;
    this.tables++;
    return table;
  }

  removeRouteTable(table: number): void {
    const { subnets } = this;
    for (let s = 0; s < subnets.ids.used; s++) if (subnets.table[s] === table) this.associate(s, -1);
    this.routes.removeList(table);
    this.tables--;
  }

  /** Adds a route, or replaces the one with this prefix. */
  setRoute(table: number, network: number, length: number, type: NextHop, nextHop = 0): void {
    this.routes.set(table, network, length, type, nextHop, RouteSource.USER);
    this.reselect(table, network, length);
  }

  removeRoute(table: number, network: number, length: number): void {
    this.routes.remove(table, network, length);
    this.reselect(table, network, length);
  }

  /** Gives a subnet a route table, or none (-1): zero or one per subnet, one for many subnets (R7). */
  associate(subnet: number, table: number): void {
    const { subnets } = this;
    const old = subnets.table[subnet];
    this.policyChanges();
    this.k.consulted.changed(Noted.VNET_ROUTES, subnet, 0);
    subnets.table[subnet] = table;
    if (old >= 0) this.selectAll(subnet, old);
    if (table >= 0) this.selectAll(subnet, table);
    this.selectEndpoints(subnet);
    this.selectAll(subnet, this.vnets.learned[subnets.vnet[subnet]]);
  }

  /** Keeps gateway routes out of the subnets of a route table, or lets them in (R6). */
  setPropagation(table: number, on: boolean): void {
    const { subnets, vnets } = this;
    this.blocksPropagation[table] = on ? 0 : 1;
    for (let s = 0; s < subnets.ids.used; s++) {
      if (subnets.table[s] !== table) continue;
      this.k.consulted.changed(Noted.VNET_ROUTES, s, 0);
      this.selectAll(s, vnets.learned[subnets.vnet[s]]);
    }
  }

  /** What a VNet or site knows from its gateways from now on (gateways.ts). */
  setLearned(vnet: number, learned: readonly Learned[]): void {
    const { routes, subnets } = this;
    const list = this.vnets.learned[vnet];
    if (learned.length === 0 && routes.first[list] < 0) return;
    this.policyChanges();
    this.k.consulted.changedAll();
    const gone: [number, number][] = [];
    for (let r = routes.first[list]; r >= 0; r = routes.next[r]) gone.push([routes.key[r], routes.length[r]]);
    for (const [key, length] of gone) routes.remove(list, key, length);
    const type = NextHop.VIRTUAL_NETWORK_GATEWAY;
    for (const { network, length, connection } of learned) {
      routes.set(list, network, length, type, connection, RouteSource.BGP);
    }
    for (let s = 0; s < subnets.ids.used; s++) {
      if (subnets.vnet[s] !== vnet) continue;
      for (const [key, length] of gone) this.select(s, key, length);
      this.selectAll(s, list);
    }
  }

  /** The list of gateway routes that counts in a subnet, or -1 where its table keeps them out (R6). */
  learnedIn(subnet: number): number {
    const { subnets, vnets } = this;
    const table = subnets.table[subnet];
    return table >= 0 && this.blocksPropagation[table] === 1 ? -1 : vnets.learned[subnets.vnet[subnet]];
  }

  // ---- security rules: security-control.ts ----

  /** Rules, or the addresses they are about, are about to change: every flow record is judged anew. */
  policyChanges(): void {
    this.k.consulted.changed(Noted.SECURITY, 0, 0);
    this.policyGeneration++;
  }

  // ---- internals ----

  /** Chooses anew for one prefix in one subnet. */
  select(subnet: number, network: number, length: number): void {
    const { subnets, vnets } = this;
    const system = vnets.system[subnets.vnet[subnet]];
    const { routes } = this;
    const table = subnets.table[subnet];
    routes.select(subnet, subnets.services[subnet], table, this.learnedIn(subnet), system, network, length);
    if (length < 32 || this.endpoints.ids.live === 0) return;
    const row = routes.effective.exact(subnet, network, length);
    const winner = row < 0 ? -1 : routes.effective.value[row];
    if (winner < 0 || routes.type[winner] !== NextHop.INTERFACE_ENDPOINT) return;
    if (isEndpointOverridden(this, subnet, routes.nextHop[winner], network)) {
      routes.effective.remove(subnet, network, length);
    }
  }

  /** Chooses anew for every private endpoint, which a change of shorter routes may concern (R12). */
  private selectEndpoints(subnet: number): void {
    const { endpoints } = this;
    for (let e = 0; e < endpoints.ids.used; e++)
      this.select(subnet, this.primaryAddress(endpoints.nic[e]), 32);
  }

  /** Chooses anew for every prefix of `list` in one subnet. */
  selectAll(subnet: number, list: number): void {
    const { routes } = this;
    for (let r = routes.first[list]; r >= 0; r = routes.next[r]) {
      this.select(subnet, routes.key[r], routes.length[r]);
    }
  }

  private reselect(table: number, network: number, length: number): void {
    const { subnets } = this;
    this.policyChanges();
    for (let s = 0; s < subnets.ids.used; s++) {
      if (subnets.table[s] !== table) continue;
      this.k.consulted.changed(Noted.VNET_ROUTES, s, 0);
      this.select(s, network, length);
      this.selectEndpoints(s);
    }
  }

  private reselectVnet(vnet: number, network: number, length: number): void {
    const { subnets } = this;
    for (let s = 0; s < subnets.ids.used; s++) {
      if (subnets.vnet[s] !== vnet) continue;
      this.k.consulted.changed(Noted.VNET_ROUTES, s, 0);
      this.select(s, network, length);
    }
  }

  private renewMac(nic: number): void {
    const { k, nics } = this;
    const n = this.macs++;
    k.consulted.changed(Noted.NIC, nic, 0);
    nics.macHi[nic] = nicMacHi(n);
    nics.macLo[nic] = nicMacLo(n);
    if (!this.isPlugged(nic)) return;
    k.dev.macHi[nics.dev[nic]] = nics.macHi[nic];
    k.dev.macLo[nics.dev[nic]] = nics.macLo[nic];
  }

  private chain(nic: number, addr: number): void {
    const { configs, nics } = this;
    const vnet = nics.vnet[nic];
    assert(this.subnets.contains(nics.subnet[nic], addr), "an address belongs to its NIC's subnet");
    assert(configs.find(vnet, addr) < 0, "address twice in one VNet");
    this.k.consulted.changed(Noted.VNET_ADDRESS, vnet, addr);
    const row = configs.add(vnet, addr, nic);
    const tail = nics.last[nic];
    configs.prev[row] = tail;
    if (tail < 0) nics.primary[nic] = row;
    else configs.next[tail] = row;
    nics.last[nic] = row;
    nics.configs[nic]++;
    if (nics.groups[nic] > 0) this.policyChanges();
    this.vnets.addresses[vnet]++;
    this.subnets.take(nics.subnet[nic], addr);
  }

  private unchain(nic: number, row: number): void {
    const { configs, nics } = this;
    this.k.consulted.changed(Noted.VNET_ADDRESS, nics.vnet[nic], configs.addr[row]);
    const next = configs.next[row];
    const prev = configs.prev[row];
    if (prev < 0) nics.primary[nic] = next;
    else configs.next[prev] = next;
    if (next < 0) nics.last[nic] = prev;
    else configs.prev[next] = prev;
    nics.configs[nic]--;
    if (nics.groups[nic] > 0) this.policyChanges();
    this.vnets.addresses[nics.vnet[nic]]--;
    this.subnets.give(nics.subnet[nic], configs.addr[row]);
    configs.remove(row);
  }
}
