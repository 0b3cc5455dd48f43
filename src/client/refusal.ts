import type { Core } from 'sip.js';

/** What a response says beside its description. */
export type ResponseHead = Pick<
  Core.IncomingResponseMessage,
  'statusCode' | 'reasonPhrase' | 'getHeader' | 'getHeaders' | 'parseHeader'
>;

/** Status, reason and the sentences for people that come with it (Warning, RFC 3261 §20.43), each said once. */
export function refusalText(response: ResponseHead): string {
  const { statusCode = 0, reasonPhrase = '' } = response;
  const sentences = response
    .getHeaders('warning')
    .flatMap((value) => [...value.matchAll(/\b\d{3}\s+\S+\s+"((?:[^"\\]|\\.)*)"/g)])
    .map(([, text = '']) => text.replace(/\\(.)/g, '$1').trim())
    .filter((text) => text !== '' && text !== reasonPhrase);
  const told = [...new Set(sentences)].join('; ');
  return `${statusCode} ${reasonPhrase}${told === '' ? '' : ` (${told})`}`;
}
