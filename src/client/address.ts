/** Whether two SIP addresses are the same but for parameters and the case of scheme and host (RFC 3261 §19.1.4). */
export function sameAddress(one: string, other: string): boolean {
  return addressKey(one) === addressKey(other);
}

function addressKey(uri: string): string {
  const bare = uri.split(/[;?]/, 1)[0] ?? uri;
  const at = bare.lastIndexOf('@') + 1;
  return bare.slice(0, at).replace(/^sips?:/i, '') + bare.slice(at).toLowerCase();
}
