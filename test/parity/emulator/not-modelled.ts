// A case vnetem cannot play: it names a sysctl that vnetem does not know.

export class NotModelled extends Error {}
