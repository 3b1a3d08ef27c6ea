/** Two rounds of FNV-1a: fast, and good enough where nobody forges. */
export function simulationHash(bytes: Uint8Array): Uint8Array {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] as number;
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul(b ^ byte, 0x85ebca6b) ^ (b >>> 13);
  }
  const out = new Uint8Array(8);
  new DataView(out.buffer).setInt32(0, a);
  new DataView(out.buffer).setInt32(4, b);
  return out;
}
