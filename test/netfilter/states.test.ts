// Two rows of kube-proxy.md 3.4: what rules see of a packet's connection, and data nobody acknowledges.

import test from "ava";
import { icmpErrorFrame } from "../../src/wire/build.ts";
import { TCP_ACK, TCP_PSH, TCP_SYN } from "../../src/wire/tcp.ts";
import { Lab } from "./lab.ts";

const [A, B] = ["10.244.1.2:2000", "10.244.2.2:80"];
/** enum ip_conntrack_info. */
const INFO = ["ESTABLISHED", "RELATED", "NEW", "ESTABLISHED (reply)", "RELATED (reply)"];

function router(): Lab {
  const lab = new Lab();
  lab.nf.enable(lab.ns);
  return lab;
}

test("K3.4 what rules see: NEW, ESTABLISHED in either direction, RELATED, INVALID", (t) => {
  const lab = router();
  const { skb } = lab.k;
  const state = (f: number): string => {
    const g = lab.pre(f);
    const seen = skb.ct[g] < 0 ? "INVALID" : INFO[skb.ctinfo[g]];
    lab.end(t, lab.post(g));
    return seen;
  };
  t.is(state(lab.udp(A, B)), "NEW");
  t.is(state(lab.udp(A, B)), "NEW", "as long as nobody has answered");
  t.is(state(lab.udp(B, A)), "ESTABLISHED (reply)");
  t.is(state(lab.udp(A, B)), "ESTABLISHED");
  const about = lab.udp(A, B);
  const quote = skb.bytes.slice(skb.off[about], skb.end(about));
  lab.k.consume(about);
  const error = { src: "10.244.2.2", dst: "10.244.1.2", type: 3, code: 3, quote };
  t.is(state(lab.frame(icmpErrorFrame(error))), "RELATED (reply)");
  t.is(state(lab.echo("10.244.2.2", "10.244.1.2", 7, true)), "INVALID");
  lab.close(t);
});

test("K3.4 data that nobody has acknowledged: unacknowledged 300 s until the ACK comes", (t) => {
  const lab = router();
  const send = (from: string, to: string, flags: number, seq: number, ack: number, payload = 0): string => {
    lab.end(t, lab.post(lab.pre(lab.tcp(from, to, flags, { seq, ack, payload }))));
    return lab.list()[0].split(" ").slice(1, 3).join(" ");
  };
  send(A, B, TCP_SYN, 1000, 0);
  send(B, A, TCP_SYN | TCP_ACK, 5000, 1001);
  t.is(send(A, B, TCP_ACK, 1001, 5001), "432000 ESTABLISHED");
  t.is(send(A, B, TCP_PSH | TCP_ACK, 1001, 5001, 10), "300 ESTABLISHED");
  t.is(send(B, A, TCP_ACK, 5001, 1011), "432000 ESTABLISHED");
  lab.close(t);
});
