// The upstream end-to-end tests that this project stands for (K 6), by their numbers in the fact sheet and
// the names they have in kubernetes test/e2e/network. A number with several lines has several tests.

export interface UpstreamTest {
  number: number;
  name: string;
}

const ROWS = `
1 Services should serve a basic endpoint from pods
2 Services should serve multiport endpoints from pods
3 Services should be updated after adding or deleting ports
4 Services should serve endpoints on same port and different protocols
5 Services should serve endpoints on same port and different protocol for internal traffic on Type LoadBalancer
6 Services should be able to create a functioning NodePort service
7 Services should be able to update service type to NodePort listening on same port number but different protocols
8 Services should prevent NodePort collisions
9 Services should check NodePort out-of-range
10 Services should release NodePorts on delete
11 Services should be able to change the type from ExternalName to ClusterIP
12 Services should be able to change the type from ExternalName to NodePort
13 Services should be able to change the type from ClusterIP to ExternalName
14 Services should be able to change the type from NodePort to ExternalName
15 Services should be possible to connect to a service via ExternalIP
16 Services should preserve source pod IP for traffic thru service cluster IP
17 Services should allow pods to hairpin back to themselves through services
18 Services should be able to up and down services
19 Services should work after the service has been recreated
20 Services should work after restarting kube-proxy
21 Services should work after restarting apiserver
22 Services should implement service.kubernetes.io/service-proxy-name
23 Services should implement service.kubernetes.io/headless
24 Services should be rejected when no endpoints exist
25 Services should be rejected for evicted pods (no endpoints exist)
26 Services should have session affinity work for service with type clusterIP
27 Services should have session affinity work for NodePort service
28 Services should be able to switch session affinity for service with type clusterIP
29 Services should be able to switch session affinity for NodePort service
30 Services should have session affinity timeout work for service with type clusterIP
31 Services should have session affinity timeout work for NodePort service
32 Services should respect internalTrafficPolicy=Local Pod to Pod
33 Services should respect internalTrafficPolicy=Local Pod (hostNetwork: true) to Pod
34 Services should respect internalTrafficPolicy=Local Pod and Node, to Pod (hostNetwork: true)
35 Services should fallback to terminating endpoints when there are no ready endpoints with internalTrafficPolicy=Cluster
36 Services should fallback to terminating endpoints when there are no ready endpoints with externalTrafficPolicy=Cluster
37 Services should fallback to local terminating endpoints when there are no ready endpoints with internalTrafficPolicy=Local
38 Services should fallback to local terminating endpoints when there are no ready endpoints with externalTrafficPolicy=Local
39 Services should fail health check node port if there are only terminating endpoints
40 Services should implement NodePort and HealthCheckNodePort correctly when ExternalTrafficPolicy changes
41 Services should be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is true
42 Services should not be able to connect to terminating and unready endpoints if PublishNotReadyAddresses is false
43 Services should create endpoints for unready pods
44 Services should allow creating a basic SCTP service with pod and endpoints
45 Granular: function for pod-Service: http, udp
45 Granular: function for pod-Service: sctp
46 Granular: function for node-Service: http, udp
46 Granular: function for node-Service: sctp
47 Granular: function for endpoint-Service: http, udp
47 Granular: function for endpoint-Service: sctp
48 Granular: function for multiple endpoint-Services with same selector
49 Granular: update endpoints: http, udp
50 Granular: update nodePort: http, udp
51 Granular: function for client IP based session affinity: http, udp
52 Granular: be able to handle large requests: http, udp
53 Granular: function for service endpoints using hostNetwork
54 Granular: support basic nodePort: udp functionality
55 Granular Pods: intra-pod communication: http, udp
55 Granular Pods: intra-pod communication: sctp
56 Granular Pods: node-pod communication: http, udp
56 Granular Pods: node-pod communication: sctp
57 Networking should recreate its iptables rules if they are deleted
58 Networking should provide Internet connection for containers
59 NoSNAT should be able to send traffic between Pods without SNAT
60 HostPort validates that there is no conflict between pods with same hostPort but different hostIP and protocol
61 Networking should allow creating a Pod with an SCTP HostPort
62 Connectivity Pod Lifecycle should be able to connect from a Pod to a terminating Pod
63 Connectivity Pod Lifecycle should be able to connect to other Pod from a terminating Pod
64 EndpointSlice should support a Service with multiple endpoint IPs specified in multiple EndpointSlices
65 EndpointSlice should support a Service with multiple ports specified in multiple EndpointSlices
66 EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete
66 EndpointSliceMirroring should mirror a custom Endpoint with multiple subsets and same IP address
67 CVE-2021-29923 IPv4 Service Type ClusterIP with leading zeros should work interpreted as decimal
68 Traffic Distribution should route traffic to an endpoint in the same zone when using PreferClose
68 Traffic Distribution should route traffic to an endpoint in the same zone when using PreferSameZone
68 Traffic Distribution should route traffic correctly between pods on multiple nodes when using PreferClose
68 Traffic Distribution should route traffic to an endpoint on the same node or fall back to same zone
69 Topology Hints should distribute endpoints evenly
70 Dual-stack: services and Granular checks on a secondary address family
71 Service endpoints latency should not be very high
72 Proxy through a service and a pod
73 Conntrack should be able to preserve UDP traffic when server pod cycles for a NodePort service
74 Conntrack should be able to preserve UDP traffic when server pod cycles for a ClusterIP service
75 Conntrack should be able to preserve UDP traffic when server pod cycles for a ClusterIP service and client is hostNetwork
76 Conntrack should be able to preserve UDP traffic when initial unready endpoints get ready
77 Conntrack should drop INVALID conntrack entries
78 Conntrack proxy implementation should not be vulnerable to the invalid conntrack state bug
79 KubeProxy should set TCP CLOSE_WAIT timeout
80 DNS should provide DNS for the cluster
80 DNS should provide DNS for services
80 DNS should provide DNS for pods for Hostname
80 DNS should provide DNS for pods for Subdomain
80 DNS should provide DNS for ExternalName services
81 DNS should support configurable pod DNS nameservers
81 DNS should support configurable pod resolv.conf
82 LoadBalancers should be able to change the type and ports of a TCP service
82 LoadBalancers should be able to change the type and ports of a UDP service
83 LoadBalancers should only allow access from service loadbalancer source ranges
84 LoadBalancers should have session affinity work for LoadBalancer service with ESIPP on, off, and switch it
85 LoadBalancers should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service on different nodes
85 LoadBalancers should be able to preserve UDP traffic when server pod cycles for a LoadBalancer service on the same nodes
86 LoadBalancers ESIPP should work for type=LoadBalancer
86 LoadBalancers ESIPP should work for type=NodePort
87 LoadBalancers ESIPP should only target nodes with endpoints
88 LoadBalancers ESIPP should work from pods
89 LoadBalancers ESIPP should handle updates to ExternalTrafficPolicy field
90 LoadBalancers should not have connectivity disruption during rolling update with externalTrafficPolicy=Cluster
90 LoadBalancers should not have connectivity disruption during rolling update with externalTrafficPolicy=Local
91 LoadBalancers should be able to create LoadBalancer Service without NodePort and change it
`;

export const UPSTREAM: readonly UpstreamTest[] = ROWS.trim()
  .split("\n")
  .map((line) => {
    const space = line.indexOf(" ");
    return { number: Number(line.slice(0, space)), name: line.slice(space + 1) };
  });
