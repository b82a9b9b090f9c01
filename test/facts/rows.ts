// The rows of the fact sheets that the first release stands for, one line each:
//
//   id what it says, in our own words ~ words by which tests name it | other words
//
// Ids: K4.1/... is a row of section 4.1 of the sheet on kube-proxy and Linux, A8.13 statement 13 of section 8
// of the sheet on Azure, A8.36/peering that half of statement 36. Ids do not change; new rows get new ones.
// A test names a row by its id, or, for K rows, by the section and the words behind "~" (any case), in its
// title or in the `facts` of a parity case. Words that begin with a section of their own stand alone.

export interface Fact {
  id: string;
  /** "K4.1", "A8". */
  section: string;
  text: string;
  words: readonly string[];
}

const ROWS = `
K1.4/none a ClusterIP without any endpoint is rejected: ICMP 3/3, for TCP too ~ no endpoint anywhere: ICMP
K1.4/internal-local internal policy Local, endpoints elsewhere only: silence ~ internalTrafficPolicy Local
K1.4/external-local external policy Local leaves the ClusterIP alone ~ externalTrafficPolicy Local, none local
K1.4/nft-port nftables: a port the Service does not have is rejected ~ K2.3 nftables: wrong port
K1.4/nft-free nftables: an address of the range that no Service has: silence ~ K2.3 nftables: wrong port
K1.4/ipt-port iptables: a port the Service does not have, and ping, are routed ~ port not defined or ping
K1.4/ipvs-port ipvs: a port the Service does not have is rejected
K1.4/ipvs-none ipvs: without endpoints IPVS itself answers 3/3
K1.4/ipvs-local ipvs: policy Local without local endpoints takes the others
K1.4/tcp-client a TCP client turns 3/3 into ECONNREFUSED at once; the proxy never resets
K1.4/udp-connected a connected UDP socket gets ECONNREFUSED from its next call
K1.4/udp-unconnected an unconnected UDP socket is told nothing
K1.4/quote the error quotes header and whole segment, TOS 0xc0, sent from the way out ~ error quotes IP header
K1.4/quote-ttl rejected in FORWARD: the quoted TTL is one less ~ inner TTL already decremented
K1.4/quote-ttl-input rejected in INPUT: the quoted TTL is as it came ~ inner TTL not decremented
K1.4/no-entry what is rejected leaves no conntrack entry ~ leaves no conntrack entry | leaves no entry
K1.4/needs-route without a route for the ClusterIP: 3/0 instead of the reject ~ no route for the ClusterIP
K1.4/dnat-first with endpoints a pod needs no such route: DNAT comes first ~ a pod on such a node works
K1.4/node-route a process of such a node gets ENETUNREACH
K1.4/redirect reject is lost where the way in is the way out and redirects are on ~ reject may be lost
K1.5/row-1 ClusterIP from a local pod: no SNAT ~ row 1 | rows 1, 2 and 8
K1.5/row-2 ClusterIP from anybody else: SNAT ~ row 2 | rows 1, 2 and 8
K1.5/row-3 masqueradeAll: SNAT for everybody ~ row 3
K1.5/row-4 NodePort, policy Cluster: SNAT ~ row 4 | rows 4 and 6
K1.5/row-5 NodePort, policy Local, from a local pod: the Cluster list, no SNAT ~ rows 5 and 7
K1.5/row-6 NodePort, policy Local, from the node: the Cluster list, SNAT ~ row 6 | rows 4 and 6
K1.5/row-7 NodePort, policy Local, from outside: the Local list, no SNAT ~ rows 5 and 7
K1.5/row-8 the chosen endpoint is the source: SNAT (hairpin) ~ row 8 | rows 1, 2 and 8
K1.5/external-order order of the rules for external addresses
K1.5/remote-port a pod at another node's NodePort is not masqueraded there
K1.5/own-port a pod at its own node's NodePort is masqueraded ~ its own node's nodePort
K1.5/no-detector without a CIDR the two rules about local traffic are not written ~ without a usable CIDR
K1.5/detectors detectors NodeCIDR, BridgeInterface and InterfaceNamePrefix
K1.5/snat-source SNAT to the primary address of the way out ~ primary address of the
K1.5/source-kept a pod's source is kept on one node and across nodes ~ keeps the pod source
K3.2/bridged same bridge, bridge-nf 1: bridged, TTL kept ~ pod a to ClusterIP, backend b, bridge-nf=1
K3.2/routed same bridge, bridge-nf 0: no translation back ~ pod a to ClusterIP, backend b, bridge-nf=0
K3.2/ttl-1-bridged TTL 1, bridge-nf 1: delivered ~ same with TTL 1, bridge-nf=1
K3.2/ttl-1-routed TTL 1, bridge-nf 0: time exceeded ~ same with TTL 1, bridge-nf=0
K3.2/self-off-1 to itself, hairpin off, bridge-nf 1: lost, and no entry ~ hairpin off, bridge-nf=1
K3.2/self-off-0 to itself, hairpin off, bridge-nf 0: works, masqueraded ~ hairpin off, bridge-nf=0
K3.2/self-on-1 to itself, hairpin on, bridge-nf 1: works, TTL kept ~ hairpin on, bridge-nf=1
K3.2/self-on-0 to itself, hairpin on, bridge-nf 0: works as with hairpin off ~ hairpin on, bridge-nf=0
K3.2/cross-node backend on another node: routed with bridge-nf 0 and 1 ~ cross-node backend
K3.2/no-forwarding the bridged case needs no ip_forward; on 6.18 it does ~ ip_forward is not needed
K3.4/syn-sent SYN_SENT and SYN_SENT2 120 s ~ SYN_SENT 120
K3.4/syn-recv SYN_RECV 60 s ~ SYN_RECV 60
K3.4/established ESTABLISHED 432000 s ~ ESTABLISHED 432000 ASSURED
K3.4/fin-wait FIN_WAIT 120 s ~ FIN_WAIT 120
K3.4/close-wait CLOSE_WAIT 60 s ~ CLOSE_WAIT 60
K3.4/last-ack LAST_ACK 30 s ~ LAST_ACK 30
K3.4/time-wait TIME_WAIT 120 s ~ TIME_WAIT 120
K3.4/close CLOSE 10 s ~ CLOSE 10
K3.4/max-retrans three retransmissions without an answer: 300 s ~ unanswered retransmissions
K3.4/unacknowledged data nobody has acknowledged: 300 s ~ unacknowledged 300
K3.4/loose picked up with an ACK: 300 s ~ picks a connection up with 300 s
K3.4/udp UDP 30 s, unreplied and replied ~ UDP: 30 s
K3.4/udp-stream UDP stream 120 s ~ packet more than 2 s after creation | stream of 120 s
K3.4/icmp ICMP 30 s ~ requests are NEW for 30 s
K3.4/generic other protocols 600 s ~ tracked by addresses for 600 s
K3.4/gre GRE 30 and 180 s
K3.4/sctp SCTP: ten timeouts of its own
K3.4/sctp-docs the running kernel's SCTP timeouts are not the documented ones
K3.4/udp-assured ASSURED by a packet of a replied flow more than 2 s old ~ packet more than 2 s after creation
K3.4/udp-one-way one-way UDP stays at 30 s and UNREPLIED ~ one-way UDP
K3.4/udp-icmp an ICMP unreachable is no reply ~ ICMP unreachable answer does not count
K3.4/close-order a close by the client, state by state ~ a normal close by the client
K3.4/rst RST on an established flow: CLOSE ~ RST on an established flow
K3.4/rst-first RST as the first answer to a SYN: no entry left ~ RST as the first
K3.4/retransmissions three retransmissions: 432000 falls to 300 s ~ unanswered retransmissions
K3.4/states what rules see: NEW, ESTABLISHED, RELATED, INVALID ~ what rules see
K3.4/virtual UNTRACKED, and the virtual states SNAT and DNAT
K3.4/o-syn table, original direction, SYN ~ both state tables
K3.4/o-synack table, original direction, SYN-ACK ~ both state tables
K3.4/o-fin table, original direction, FIN ~ both state tables
K3.4/o-ack table, original direction, ACK ~ both state tables
K3.4/o-rst table, original direction, RST ~ both state tables
K3.4/o-none table, original direction, no flag ~ both state tables
K3.4/r-syn table, reply direction, SYN ~ both state tables
K3.4/r-synack table, reply direction, SYN-ACK ~ both state tables
K3.4/r-fin table, reply direction, FIN ~ both state tables
K3.4/r-ack table, reply direction, ACK ~ both state tables
K3.4/r-rst table, reply direction, RST ~ both state tables
K3.4/reopen SYN in TIME_WAIT or CLOSE: the old entry goes, a new choice is made ~ SYN in TIME_WAIT
K3.4/first-new unknown flow: SYN, ACK and data are NEW ~ first packet of an unknown flow
K3.4/first-invalid unknown flow: every other segment is INVALID ~ first packet of an unknown flow
K3.4/first-query unknown flow: ICMP queries are NEW ~ first packet of an unknown flow
K3.4/first-answer unknown flow: ICMP replies and errors are INVALID ~ first packet of an unknown flow
K3.4/first-udp unknown flow: UDP is NEW ~ first packet of an unknown flow
K3.4/asymmetric a node that sees only the SYN-ACK drops it ~ first packet of an unknown flow
K3.4/loose-0 tcp_loose 0: the ACK is INVALID ~ tcp_loose
K3.6/closed-port closed UDP port on the backend: 3/3 from the VIP ~ closed UDP port on backend
K3.6/ttl-own TTL spent on the own node: 11/0 from the VIP ~ TTL expires on own node
K3.6/ttl-remote TTL spent on the other node: 11/0 from the VIP ~ TTL expires on the remote node
K3.6/arp-remote the other node cannot resolve the pod: 3/1 from the VIP ~ remote node cannot ARP
K3.6/arp-own the own node cannot resolve the pod: 3/1 after three seconds ~ own node cannot ARP
K3.6/too-big DF and larger than the uplink: 3/4 from the VIP, 576 bytes ~ DF packet bigger
K3.6/pmtu the client keeps that path MTU for the VIP 600 s ~ path MTU of the VIP
K3.6/rst RST of a closed TCP port comes from VIP:port ~ RST from closed TCP port
K3.6/rule RELATED errors are translated inside, and come from the NATed address ~ rule: RELATED
K3.6/redirects redirects about NATed flows are dropped by NAT ~ K4.3 with NAT rules loaded no redirect
K3.6/no-flow an error about no flow is INVALID ~ matches no flow is INVALID | about no flow
K4.1/ageing a learned entry lasts as long as the ageing time ~ ageing:
K4.1/stp STP is off, a new port forwards at once ~ with STP off
K4.1/flags-off hairpin and isolation are off by default ~ dest = own source MAC
K4.1/locked locked, neigh_suppress and proxy_arp on a port
K4.1/flags-on learning and the three kinds of flooding are on, and can be switched off ~ port flood off
K4.1/snooping multicast without a querier is flooded ~ snooping on, no querier
K4.1/vlan vlan filtering is off
K4.1/group-fwd group_fwd_mask 0 ~ 01:80:c2:00:00:02
K4.1/cost cost and priority of a port
K4.1/mac the bridge takes its lowest port MAC unless one is set ~ lowest port MAC unless set by hand
K4.1/known known unicast goes to its port ~ known unicast b
K4.1/unknown unknown unicast goes to every other port, not to the node ~ unknown unicast
K4.1/broadcast broadcast goes to every other port and to the node ~ K4.1 broadcast
K4.1/multicast 01:00:5e goes to every other port and to the node ~ 01:00:5e:x
K4.1/stp-group 01:80:c2:00:00:00 is flooded while STP is off ~ 01:80:c2:00:00:00
K4.1/link-local 01:80:c2:00:00:01 to 0f go nowhere ~ 01:80:c2:00:00:02
K4.1/beyond 01:80:c2:00:00:10 is flooded ~ 01:80:c2:00:00:10
K4.1/bridge-mac to the bridge's MAC: the node alone ~ dest = bridge MAC
K4.1/own-mac to the sender's own MAC: nobody; with hairpin, back ~ dest = own source MAC
K4.1/bad-source a group or zero source MAC is dropped ~ source MAC multicast or all-zero
K4.1/moved a MAC that shows at another port moves there at once ~ source MAC = b's MAC
K4.1/hairpin-flood with hairpin floods come back too ~ unknown or broadcast with hairpin
K4.1/isolated isolated ports do not reach one another ~ a and b isolated
K4.1/port-macs port MACs are the node's, but IP takes the bridge's only ~ any port's MAC
K4.1/port-down a port that goes down forgets what it learned ~ port down removes
K4.1/mac-outage a port with a lower MAC changes the bridge's ~ adding a port with a lower MAC
K4.1/mac-outage-time REACHABLE, DELAY, PROBE, then pods find the new MAC ~ the bridge's MAC changed
K4.2/other-interface an address of another interface is answered unless arp_ignore ~ owns on another interface
K4.2/probe a probe from 0.0.0.0 is answered ~ probe with sender 0.0.0.0
K4.2/unicast a unicast request is answered ~ unicast request
K4.2/off-subnet a request from off the subnet is answered ~ sender IP is off-subnet
K4.2/proxy proxy_arp answers for a remote pod, after up to 0.8 s ~ request for a remote pod, proxy_arp=1
K4.2/proxy-same proxy_arp is silent about the same interface ~ reachable through the same interface
K4.2/learn a request for us makes a STALE entry ~ request aimed at us from unknown sender
K4.2/garp-unknown gratuitous ARP of a stranger is ignored ~ gratuitous request or reply, unknown sender
K4.2/unasked an unasked reply of a stranger is ignored ~ unsolicited unicast reply
K4.2/garp-known gratuitous ARP of a known sender moves it, locktime or not ~ gratuitous ARP for a known entry
K4.2/up no gratuitous ARP when an interface or address comes up ~ no gratuitous ARP is sent
K4.2/fails three broadcasts a second apart, then FAILED ~ resolve failure
K4.2/waiting packets wait for the answer; on failure each gets 3/1 ~ on failure each queued
K4.2/queue 212,992 bytes may wait per entry ~ queued by bytes
K4.2/stale STALE and a packet: DELAY 5 s, three unicast probes, FAILED ~ STALE + packet
K4.2/reachable REACHABLE lasts 15 to 45 s, evenly drawn ~ REACHABLE lasts
K4.2/gc garbage collection by thresholds and gc_stale
K4.2/confirm upper layers can confirm an entry
K4.2/reused-ip an address reused with another MAC, without ARP: some 8 s of outage ~ reused pod IP
K4.3/order TTL and MTU come before FORWARD rules and after DNAT ~ TTL and MTU errors precede
K4.3/quote 3/4 quotes the TTL as it came ~ 3/4 quotes the original TTL
K4.3/forward-0 ip_forward 0: dropped in silence ~ ip_forward=0
K4.3/forward-1 ip_forward 1 sets accept_redirects 0 and leaves send_redirects 1 ~ ip_forward=1
K4.3/no-route no route: 3/0 from the side it came in on ~ no route: ICMP 3/0
K4.3/special blackhole, unreachable and prohibit routes ~ blackhole / unreachable / prohibit
K4.3/ttl TTL 64 by default; one less per routed hop, none per bridged ~ TTL 255 to 64
K4.3/redirect the way in is the way out: 5/1, none with NAT rules ~ redirect: in-interface = out-interface
K4.3/redirect-kept the host keeps the new gateway 300 s ~ redirect is kept
K4.3/rp-filter rp_filter 0, 1 and 2 ~ rp_filter=1
K4.3/rp-filter-max the larger of all.rp_filter and the interface's counts ~ the larger of all.rp_filter
K4.3/martians own, loopback, broadcast and multicast sources are dropped ~ martian sources:
K4.3/localnet 127/8 from the wire only with route_localnet ~ 127/8 destination from the wire
K4.3/error-source an error has the address of the interface it leaves by ~ source = ingress-side address
K4.3/no-error no error about errors, later fragments, broadcast or odd sources ~ no ICMP error for
K4.3/bucket errors per receiver: one a second, six at once ~ per-destination token bucket
K4.3/global errors per host: 1,000 a second, 50 at once ~ 1000/s with burst 50
K4.3/six 20 datagrams to a closed port: six errors ~ exactly 6 unreachables
K4.3/refill 30 at 0.2 s: seven in 1.2 s, then one a second ~ gave 7 in the first 1.2 s
K4.3/echo-free echo replies are not limited ~ 30 echo requests
K4.3/exempt 3/4 is not limited ~ type 3 code 4 is exempt
K4.3/exempt-lo errors over loopback are not limited ~ errors over loopback
K5.2/syn closed port, SYN: RST,ACK of the number behind it ~ segment to closed port, every row
K5.2/syn-data closed port, SYN with data: data counts ~ segment to closed port, every row
K5.2/syn-fin closed port, SYN and FIN: both count ~ segment to closed port, every row
K5.2/fin closed port, FIN: counts ~ segment to closed port, every row
K5.2/none closed port, no flag, with and without data ~ segment to closed port, every row
K5.2/ack closed port, ACK of any kind: RST from that number ~ segment to closed port, every row
K5.2/rst closed port, RST: nothing ~ segment to closed port, every row
K5.2/bad-sum closed port, wrong checksum: nothing ~ segment to closed port, every row
K5.2/listen-ack listening port, ACK without a connection: RST
K5.2/listen-none listening port, FIN, no flag or SYN+FIN: nothing
A8.1 ARP for the gateway: 12:34:56:78:9a:bc
A8.2 ARP for another VM: the same MAC
A8.3 ARP for an address nobody has: the same MAC, packets are dropped later
A8.4 ARP for the VM's own primary address: no answer
A8.5 the receiver sees its own MAC as destination
A8.6 broadcast reaches no other VM
A8.7 multicast reaches nobody
A8.8 GRE and IP-in-IP are dropped
A8.9 a source the NIC does not own is dropped and counted
A8.10 with IP forwarding it passes
A8.11 a destination the NIC does not own is dropped at ingress
A8.12 a secondary address needs no flag
A8.13 TTL unchanged, a traceroute of one hop
A8.14 the gateway does not answer ping
A8.15 DHCP broadcast is answered by the platform, unicast reaches no VM
A8.16 a guest's OFFER reaches nobody
A8.17 UDP from source port 65330 is not delivered
A8.18 a fragment whose first was not seen is dropped
A8.19 1,600 bytes over MTU 1500 are carried as fragments
A8.19/snat fragments are dropped by the SNAT of load balancer and NAT gateway
A8.20 five reserved addresses, the first VM has .4
A8.21 /30 refused, /29 has three addresses
A8.22 forbidden ranges are refused
A8.23 168.63.129.16 is reached although a route says None
A8.23/dns its port 53 answers
A8.24 the same against NSG rules
A8.25 500,001 flows on a NIC
A8.26 another primary address, another MAC
A8.27 a private address outside the VNet: None
A8.28 a user route beats VnetLocal of the same length
A8.29 a longer user route inside the VNet beats VnetLocal
A8.29/bgp a longer BGP route does not
A8.30 0.0.0.0/0 by BGP and by a user: the user's
A8.31 propagation off: gateway routes gone from that subnet
A8.32 routes of a user against the /32 of a private endpoint, by policy and prefix
A8.33 a route to an appliance that does not forward: dropped
A8.34 a service endpoint: the private source at the service
A8.35 next hop None drops in silence
A8.36 the 401st user route is refused
A8.36/peering the 501st peering is refused
A8.37 the default rules of an NSG
A8.38 the lowest priority decides; twice the same is refused
A8.39 inbound: the subnet's NSG denies what the NIC's would allow
A8.40 outbound: the NIC's NSG comes first
A8.41 traffic inside a subnet meets its NSG both ways
A8.42 answers need no rule
A8.43 live connections and new deny rules; flushConnection
A8.44 a deny emits nothing
A8.45 peering without allowVirtualNetworkAccess and the default rules
A8.46 application security groups match by NIC
A8.47 security admin rules: AlwaysAllow, Deny
A8.48 rules see a balanced packet with the client's source and the backend's address and port
A8.49 without NSGs everything comes in
A8.50 peering is not transitive; an appliance, routes and both links' flags make a way
A8.51 one side deleted: the other Disconnected, traffic stops
A8.52 useRemoteGateways beside a local gateway, or twice, is refused
A8.53 4,001 prefixes: the session is lost
A8.54 prefixes of the VNet from on-premises are filtered, a superset is not
A8.55 tunnels: MSS 1350 clamped, full-size segments lost unclamped
A8.56 a private endpoint passes packets when Approved only
A8.57 a Private Link service shows NAT addresses; PROXY v2 with the LinkID
A8.58 load balancer: one 5-tuple, one backend; SourceIP by addresses only
A8.59 a backend sees the client and itself; with floating IP the frontend
A8.60 a backend hashed to itself by its own internal frontend never connects
A8.61 probes come from 168.63.129.16; HTTP 301 is down
A8.62 all probes down: established TCP survives, UDP ends
A8.63 idle for four minutes: silent, or a RST to both ends
A8.64 SNAT ports by pool size: 1,024, 512, 32
A8.65 NAT gateway: no ICMP; a packet of an expired connection gets a RST
A8.66 NAT gateway before instance public IP
A8.67 bridge: azure0 has eth0's address and default route
A8.68 bridge: ARP for a pod of the node is answered there
A8.69 bridge: frames and ARP leave with eth0's MAC
A8.70 bridge: the fabric's ARP replies are flooded
A8.71 tunnel: a same-node ping goes out and comes back
A8.72 bridge without br_netfilter: ClusterIPs are not translated
A8.73 bridge: azure0 takes a lower port MAC
A8.74 transparent: host route, aa:aa:aa:aa:aa:aa, proxy_arp
A8.75 transparent: two routes in the pod, one TTL per node
A8.76 transparent: the veth's name
A8.77 DEL twice, DEL of the unknown
A8.78 ADD twice
A8.79 pool exhausted: ADD fails and leaves nothing
A8.80 a released address is available at once
A8.81 the same key gets the same address
A8.82 CNS down on DEL
A8.83 CNS v2: 16 and 25 used make 48
A8.84 masquerade: what returns and what does not
A8.85 node-subnet pod outside its VNet: source is the node
A8.85/pod-subnet pod-subnet pod outside its VNet: source is the pod
A8.86 overlay: the node's address outside, the pod's inside
A8.87 CNS SNAT towards the platform's addresses
A8.88 kubenet needs the route and the flag
A8.89 CNI error codes 7, 4 and 1
A8.90 a failing delegate sees DEL
A8.91 the first packet of a flow is the slow path, later ones hit the flow table
A8.92 a policy change makes old flows be looked at again
A8.93 order of VFP's layers
A8.94 one reason per dropped packet
A8.95 next hop of an unowned private address: None, system route
A8.96 flow logs: 13 fields, D without bytes, B, C and E sum to the port's counters
A8.97 IP flow verify and the packet path give the same rule
A8.98 effective routes of a stopped VM are refused
`;

export const FACTS: readonly Fact[] = ROWS.trim().split("\n").map(parse);

function parse(line: string): Fact {
  const [said = "", words = ""] = line.split(" ~ ");
  const [, id, text] = /^(\S+)\s+(.*)$/.exec(said) ?? [];
  if (id === undefined || text === undefined) throw new Error(`not a row: ${line}`);
  const section = /^K\d\.\d|^A8/.exec(id)?.[0] ?? "";
  return { id, section, text, words: words === "" ? [] : words.split(" | ") };
}
