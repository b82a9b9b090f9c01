// A vector: packets of one traffic source that were made together and are handed on together, a few numbers
// of each as columns. The columns are constants of the module, so V8 addresses them directly; what stands in
// them holds until whoever was handed the vector returns. VPP's vectors of buffer indices are the same idea.

export const VECTOR_MAX = 64;
/** Frame; word of the slab (Slab.words) at which its IP header begins. */
export const vecFrame = new Int32Array(VECTOR_MAX);
export const vecWord = new Int32Array(VECTOR_MAX);
/** Where it arrives: namespace, socket. */
export const vecNs = new Int32Array(VECTOR_MAX);
export const vecSock = new Int32Array(VECTOR_MAX);
