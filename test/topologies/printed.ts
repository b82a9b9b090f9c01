// What each topology prints. A change here is a change users see: read it before you accept it.

export const PRINTED: Readonly<Record<string, string>> = {
  aks: `\
deployment.apps/web created
service/web created
after 5 s no pod is ready: ECONNREFUSED
web-64756544f7-jgvsh on aks-nodepool1-1: ready true
web-64756544f7-vp2s6 on aks-nodepool1-2: ready true
web-64756544f7-ks8hw on aks-nodepool1-3: ready true
after 10 s: "hello"

aks.ts: 4 pods on 3 nodes, seed 7, 11 s of virtual time
124 packets made, 95 delivered to sockets, 1 drop
Service web (10.0.0.11): web-64756544f7-jgvsh 3, web-64756544f7-vp2s6 2, web-64756544f7-ks8hw 2
┌─────────┬────────────────┬────────────────────────────────┐
│ dropped │ reason         │ device                         │
├─────────┼────────────────┼────────────────────────────────┤
│ 1       │ SERVICE_REJECT │ aks-nodepool1-1/azva7a3e029a7b │
└─────────┴────────────────┴────────────────────────────────┘
`,

  "attach-tap": `\
web-0 (10.224.0.5) answers 10.224.0.37
web-1 (10.224.0.36) answers 10.224.0.37
web-2 (10.224.0.6) answers 10.224.0.37
web-0 (10.224.0.5) answers 10.224.0.37
web-1 (10.224.0.36) answers 10.224.0.37
web-2 (10.224.0.6) answers 10.224.0.37

attach-tap.ts: 4 pods on 2 nodes, seed 7, 60 ms of virtual time
78 packets made, 60 delivered to sockets, no drops
Service web (10.0.0.11): web-0 2, web-1 2, web-2 2
`,

  "azure-overlay": `\
web-0    10.244.0.4 on n0
web-1    10.244.1.4 on n1
web-2    10.244.2.4 on n2
client   10.244.0.5 on n0

client -> db: answered "select 1"
db -> web-1 by its address: VNET_ROUTE_NONE at db/eth0

azure-overlay.ts: 4 pods on 3 nodes, seed 7, 1 s of virtual time
37 packets made, 20 delivered to sockets, 1 drop
Service web (10.0.0.11): web-0 3, web-1 3, web-2 3
┌─────────┬─────────────────┬─────────┐
│ dropped │ reason          │ device  │
├─────────┼─────────────────┼─────────┤
│ 1       │ VNET_ROUTE_NONE │ db/eth0 │
└─────────┴─────────────────┴─────────┘
`,

  "azure-transparent": `\
ping web-0 on the same node: answer with TTL 63
ping web-1 on another node:  answer with TTL 62

routes of n0:
  default via 10.224.0.1 dev eth0 proto dhcp src 10.224.0.4 metric 100${" "}
  10.224.0.0/16 dev eth0 proto kernel scope link src 10.224.0.4${" "}
  10.224.0.5 dev azv0d7763386da proto static scope link${" "}
  10.224.0.6 dev azv9fb0db7f13e proto static scope link${" "}
  10.224.0.7 dev azva7a3e029a7b proto static scope link
routes of client:
  default via 169.254.1.1 dev eth0${" "}
  169.254.1.1 dev eth0 scope link

azure-transparent.ts: 5 pods on 2 nodes, seed 7, 50 ms of virtual time
44 packets made, 28 delivered to sockets, no drops
Service web (10.0.0.11): web-0 3, web-1 3, web-2 3, web-3 3
`,

  churn: `\
120 replacements of 12 pods in 1.2 s; 0 of the first addresses are in use again
sent 40001, received 40001, lost 0, misdelivered 0

churn.ts: 13 pods on 3 nodes, seed 7, 2.01 s of virtual time
40389 packets made, 40001 delivered to sockets, no drops
Service web (10.0.0.11): web-120 2367, web-121 2202, web-122 1888, web-123 1728, web-124 1490, web-125 1333, web-126 1102, web-127 949, web-128 724, web-129 576, web-130 357, web-131 213
`,

  "hub-and-spoke": `\
client -> db through the hub: "select 1", its answer arrived with TTL 62
client -> 8.8.8.8: VNET_NO_INTERNET at nva/eth0
data does not allow forwarded traffic: VNET_NOT_FORWARDED at nva/eth0
the appliance's NIC does not forward: VNET_NOT_ADDRESSED at nva/eth0
apps deleted its side of the peering: VNET_NEXT_HOP_UNKNOWN at n0/eth0

hub-and-spoke.ts: 1 pod on 1 node, seed 7, 1 s of virtual time
14 packets made, 2 delivered to sockets, 4 drops
┌─────────┬───────────────────────┬──────────┐
│ dropped │ reason                │ device   │
├─────────┼───────────────────────┼──────────┤
│ 1       │ VNET_NEXT_HOP_UNKNOWN │ n0/eth0  │
├─────────┼───────────────────────┼──────────┤
│ 1       │ VNET_NOT_ADDRESSED    │ nva/eth0 │
├─────────┼───────────────────────┼──────────┤
│ 1       │ VNET_NOT_FORWARDED    │ nva/eth0 │
├─────────┼───────────────────────┼──────────┤
│ 1       │ VNET_NO_INTERNET      │ nva/eth0 │
└─────────┴───────────────────────┴──────────┘
`,

  "http-rolling-update": `\
60 requests over kept connections; answered by: web-0 from #1, web-1 from #11, web-2 from #21, web-3 from #31
connections to the pods of now: {"web-3":1,"web-4":0,"web-5":0}

http-rolling-update.ts: 4 pods on 3 nodes, seed 7, 2 s of virtual time
205 packets made, 147 delivered to sockets, 30 drops
Service web (10.0.0.11): web-3 1, web-4 0, web-5 0
┌─────────┬─────────────────────┬───────────────────┐
│ dropped │ reason              │ device            │
├─────────┼─────────────────────┼───────────────────┤
│ 5       │ NAT_ICMP            │ n0/azva7a3e029a7b │
├─────────┼─────────────────────┼───────────────────┤
│ 5       │ CT_INVALID          │ n0/eth0           │
├─────────┼─────────────────────┼───────────────────┤
│ 10      │ NAT_ICMP            │ n0/eth0           │
├─────────┼─────────────────────┼───────────────────┤
│ 5       │ VNET_SPOOFED_SOURCE │ n1/eth0           │
├─────────┼─────────────────────┼───────────────────┤
│ 5       │ VNET_SPOOFED_SOURCE │ n2/eth0           │
└─────────┴─────────────────────┴───────────────────┘
`,

  kubenet: `\
web-0 10.244.0.2 on n0: 2
web-1 10.244.1.2 on n1: 2
web-2 10.244.0.3 on n0: 2
web-3 10.244.1.3 on n1: 2

n1's NIC without the IP-forwarding flag:
  ping web-0 on the same node: answered with TTL 64
  ping web-1 on n1: VNET_NOT_ADDRESSED at n1/eth0

kubenet.ts: 5 pods on 2 nodes, seed 7, 1 s of virtual time
37 packets made, 18 delivered to sockets, 1 drop
Service web (10.0.0.11): web-0 2, web-1 2, web-2 2, web-3 2
┌─────────┬────────────────────┬─────────┐
│ dropped │ reason             │ device  │
├─────────┼────────────────────┼─────────┤
│ 1       │ VNET_NOT_ADDRESSED │ n1/eth0 │
└─────────┴────────────────────┴─────────┘
`,

  "long-lived-connections": `\
backend removed:   connected at 1 ms, 5 bytes at 1 s, end at 2 s
backend dead:      connected at 2 ms, 5 bytes at 1 s, EHOSTUNREACH at 927.805 s, closed at 927.805 s
  with TCP_USER_TIMEOUT of 10 s: connected at 5 ms, EHOSTUNREACH at 15.8 s, closed at 15.8 s
backend untouched: connected at 3 ms, 5 bytes at 1 s, 12 bytes at 3 s
a new connection:  connected at 1200 s

long-lived-connections.ts: 3 pods on 3 nodes, seed 7, 1200.01 s of virtual time
1624 packets made, 306 delivered to sockets, 1096 drops
Service web (10.0.0.11): web-1 2, web-2 2
┌─────────┬──────────────┬───────────────────┐
│ dropped │ reason       │ device            │
├─────────┼──────────────┼───────────────────┤
│ 1       │ NAT_ICMP     │ n0/azva7a3e029a7b │
├─────────┼──────────────┼───────────────────┤
│ 2       │ TTL_EXPIRED  │ n0/eth0           │
├─────────┼──────────────┼───────────────────┤
│ 271     │ NEIGH_FAILED │ n1/azv0761ccbeace │
├─────────┼──────────────┼───────────────────┤
│ 822     │ NO_CARRIER   │ n1/azv0761ccbeace │
└─────────┴──────────────┴───────────────────┘
`,

  "lossy-link": `\
sent 10000, received 9810, lost 190, duplicated 90, reordered 0
latency 16.04 / 22.30 / 40.27 ms (min / mean / max)
pings: NETEM_SCRIPTED, NETEM_SCRIPTED, answered

lossy-link.ts: 2 pods on 2 nodes, seed 7, 13 s of virtual time
10014 packets made, 9902 delivered to sockets, 194 drops
┌─────────┬────────────────┬─────────┐
│ dropped │ reason         │ device  │
├─────────┼────────────────┼─────────┤
│ 192     │ NETEM_LOSS     │ n0/eth0 │
├─────────┼────────────────┼─────────┤
│ 2       │ NETEM_SCRIPTED │ n0/eth0 │
└─────────┴────────────────┴─────────┘
`,

  "node-failure": `\
5 s to 20 s, all nodes up:         180 of 180 answered
20 s to 60 s, the lease runs out:  340 of 480 answered
65 s to 145 s, out of the Service: 960 of 960 answered

new: web-85cb96f8bd-ss9ks 10.244.0.7 on node-1
new: web-85cb96f8bd-rvt5t 10.244.2.6 on node-3

 55 s NodeNotReady: Node node-2 status is now: NodeNotReady
 55 s NodeNotReady: Node is not ready
 55 s NodeNotReady: Node is not ready
 85 s TaintManagerEviction: Marking for deletion Pod default/web-85cb96f8bd-vp2s6
 85 s TaintManagerEviction: Marking for deletion Pod default/web-85cb96f8bd-7ntlg
 85 s SuccessfulCreate: Created pod: web-85cb96f8bd-ss9ks
 85 s SuccessfulCreate: Created pod: web-85cb96f8bd-rvt5t
 85 s Scheduled: Successfully assigned default/web-85cb96f8bd-ss9ks to node-1
 85 s Scheduled: Successfully assigned default/web-85cb96f8bd-rvt5t to node-3

node-failure.ts: 9 pods on 3 nodes, seed 7, 150 s of virtual time
3507 packets made, 3191 delivered to sockets, 140 drops
Service web (10.0.0.11): web-85cb96f8bd-jgvsh 311, web-85cb96f8bd-vp2s6 30, web-85cb96f8bd-ks8hw 311, web-85cb96f8bd-2d6tj 311, web-85cb96f8bd-7ntlg 30, web-85cb96f8bd-zk2m5 311, web-85cb96f8bd-ss9ks 118, web-85cb96f8bd-rvt5t 118
┌─────────┬──────────────┬─────────────┐
│ dropped │ reason       │ device      │
├─────────┼──────────────┼─────────────┤
│ 140     │ VNET_STOPPED │ node-2/eth0 │
└─────────┴──────────────┴─────────────┘
`,

  "nsg-mistake": `\
client -> db, allow-apps behind deny-vnet    VNET_NSG_DENY at db/eth0
allow-apps at priority 100                   "select 1"
jump -> db                                   VNET_NSG_DENY at db/eth0
allow-apps deleted: the live connection      "select 1"
allow-apps deleted: a new connection         VNET_NSG_DENY at db/eth0
flushConnection on: the live connection      VNET_NSG_DENY at db/eth0

nsg-mistake.ts: 1 pod on 1 node, seed 7, 1 s of virtual time
16 packets made, 4 delivered to sockets, 4 drops
┌─────────┬───────────────┬─────────┐
│ dropped │ reason        │ device  │
├─────────┼───────────────┼─────────┤
│ 4       │ VNET_NSG_DENY │ db/eth0 │
└─────────┴───────────────┴─────────┘
`,

  "on-premises": `\
two circuits, one tunnel 4 ms
circuit-1 cut            6 ms
circuit-2 cut            40 ms
1,428 bytes in the tunnel VNET_TUNNEL_MTU at n0/eth0
the tunnel cut           VNET_ROUTE_NONE at n0/eth0

on-premises.ts: 1 pod on 1 node, seed 7, 1 s of virtual time
14 packets made, 6 delivered to sockets, 2 drops
┌─────────┬─────────────────┬─────────┐
│ dropped │ reason          │ device  │
├─────────┼─────────────────┼─────────┤
│ 1       │ VNET_ROUTE_NONE │ n0/eth0 │
├─────────┼─────────────────┼─────────┤
│ 1       │ VNET_TUNNEL_MTU │ n0/eth0 │
└─────────┴─────────────────┴─────────┘
`,

  "private-endpoint": `\
client asks 168.63.129.16 for reports.blob.core.windows.net:
  reports.blob.core.windows.net CNAME reports.privatelink.blob.core.windows.net
  reports.privatelink.blob.core.windows.net A 10.1.9.4
jump, whose VNet has no link to the zone: 20.60.1.10
client -> 10.1.9.4:443: "42 rows"
the account saw "GET /june.csv" from 10.1.0.5:44840
jump -> 10.1.9.4:443 over the peering: connected
rejected by the account's owner: Unreachable, VNET_ENDPOINT_STATE

private-endpoint.ts: 1 pod on 1 node, seed 7, 1 s of virtual time
27 packets made, 14 delivered to sockets, 5 drops
┌─────────┬─────────────────────┬─────────────────┐
│ dropped │ reason              │ device          │
├─────────┼─────────────────────┼─────────────────┤
│ 1       │ NO_SOCKET           │ client/eth0     │
├─────────┼─────────────────────┼─────────────────┤
│ 1       │ NO_SOCKET           │ jump/eth0       │
├─────────┼─────────────────────┼─────────────────┤
│ 3       │ VNET_ENDPOINT_STATE │ pe-reports/eth0 │
└─────────┴─────────────────────┴─────────────────┘
`,

  quickstart: `\
web-0 10.224.0.5 on n0: 10
web-1 10.224.0.36 on n1: 10
web-2 10.224.0.67 on n2: 10
web-3 10.224.0.6 on n0: 10
web-4 10.224.0.37 on n1: 10
web-5 10.224.0.68 on n2: 10

quickstart.ts: 7 pods on 3 nodes, seed 7, 100 ms of virtual time
142 packets made, 120 delivered to sockets, no drops
Service web (10.0.0.11): web-0 10, web-1 10, web-2 10, web-3 10, web-4 10, web-5 10
`,

  "same-node-service": `\
nf         neighbour: answered                                                     itself: BRIDGE_NO_EGRESS_PORT
nf-hairpin neighbour: answered                                                     itself: answered
plain      neighbour: delivered to plain-server, but the answer never matched      itself: answered

same-node-service.ts: 6 pods on 3 nodes, seed 7, 4 s of virtual time
32 packets made, 10 delivered to sockets, 4 drops
Service nf-server (10.0.0.11): nf-server 1
Service nf-hairpin-server (10.1.0.11): nf-hairpin-server 2
Service plain-server (10.2.0.11): plain-server 2
┌─────────┬───────────────────────┬──────────────────────┐
│ dropped │ reason                │ device               │
├─────────┼───────────────────────┼──────────────────────┤
│ 1       │ BRIDGE_NO_EGRESS_PORT │ nf-node/veth133ec3da │
├─────────┼───────────────────────┼──────────────────────┤
│ 1       │ NO_SOCKET             │ plain-client/eth0    │
├─────────┼───────────────────────┼──────────────────────┤
│ 2       │ NAT_ICMP              │ plain-node/cbr0      │
└─────────┴───────────────────────┴──────────────────────┘
`,

  "load-balancer": `\
twenty connections: 20 established
web-a -> its own frontend: 5 of ten connect; the others are sent to web-a itself
web-b hangs: 10 of ten new ones connect
idle for four minutes: 10 public connections were reset, internal ones are over in silence

load-balancer.ts: 0 pods on 0 nodes, seed 7, 300 s of virtual time
644 packets made, 376 delivered to sockets, 118 drops
┌─────────┬─────────────────┬────────────┐
│ dropped │ reason          │ device     │
├─────────┼─────────────────┼────────────┤
│ 55      │ IP_LOCAL_SOURCE │ web-a/eth0 │
├─────────┼─────────────────┼────────────┤
│ 63      │ DEV_READY       │ web-b/eth0 │
└─────────┴─────────────────┴────────────┘
`,

  "nat-gateway-exhaustion": `\
two crawlers: 60000 connections to api:8080, 50000 arrived
client -> api:   VNET_SNAT_EXHAUSTED at n0/eth0
  diagnose connect: VNET_SNAT_EXHAUSTED; explain: VNET_SNAT_EXHAUSTED
client -> other: "hello"
after 5 minutes: VNET_SNAT_EXHAUSTED; after 310 s it arrives at api

nat-gateway-exhaustion.ts: 1 pod on 1 node, seed 7, 311 s of virtual time
60022 packets made, 50003 delivered to sockets, 10003 drops
┌─────────┬─────────────────────┬────────────────┐
│ dropped │ reason              │ device         │
├─────────┼─────────────────────┼────────────────┤
│ 10000   │ VNET_SNAT_EXHAUSTED │ crawler-2/eth0 │
├─────────┼─────────────────────┼────────────────┤
│ 3       │ VNET_SNAT_EXHAUSTED │ n0/eth0        │
└─────────┴─────────────────────┴────────────────┘
`,

  "pod-to-internet": `\
client -> example: connected, "GET /" came back
  n0: SNAT 10.244.0.4:… -> 10.0.0.4:… by MASQUERADE
  fabric: SNAT 10.0.0.4:… -> 20.40.0.1:… by load balancer outbound rule
customer -> 20.40.0.2:80: "hello" "hello" "hello" "hello"
batch -> example: VNET_NO_OUTBOUND at batch/eth0
  diagnose connect: VNET_NO_OUTBOUND

pod-to-internet.ts: 3 pods on 2 nodes, seed 7, 6 s of virtual time
90 packets made, 54 delivered to sockets, 1 drop
Service web (10.1.0.11): web-0 4, web-1 4
┌─────────┬──────────────────┬────────────┐
│ dropped │ reason           │ device     │
├─────────┼──────────────────┼────────────┤
│ 1       │ VNET_NO_OUTBOUND │ batch/eth0 │
└─────────┴──────────────────┴────────────┘
`,
};
