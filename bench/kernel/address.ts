// IPv4 addresses and MACs of the kernel path, as text and as struct sockaddr_in.

const AF_INET = 2;
/** sizeof(struct sockaddr_in). */
export const SOCKADDR_IN = 16;

/** struct sockaddr_in: the family in the machine's order, port and address in the network's. */
export function socketAddress(ip: string, port: number): Uint8Array {
  const a = new Uint8Array(SOCKADDR_IN);
  a[0] = AF_INET;
  a[2] = port >> 8;
  a[3] = port & 255;
  a.set(octets(ip), 4);
  return a;
}

export const octets = (ip: string): number[] => ip.split(".").map(Number);

/** The n-th address of 10.224.`third`.0 and on. */
export const podAddress = (third: number, n: number): string => `10.224.${third + (n >> 8)}.${n & 255}`;

/** A locally administered MAC. */
export function podMac(kind: number, n: number): string {
  const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
  return `02:00:00:${hex(kind)}:${hex(n >> 8)}:${hex(n & 255)}`;
}
