import type { HeaderLine, Uri } from '../../sip/index.ts';
import { formatUri } from '../../sip/index.ts';
import type { Conference } from '../conference/conference.ts';

/**
 * The chat rooms of a conference for callers that do not subscribe to its state: one Call-Info (RFC 3261 §20.9) each, with
 * the purpose that RFC 7106 gives them in the conference document; the conference itself first, as it was dialled, and the
 * page about it last.
 */
export function callInfo({ settings }: Conference, dialled: Uri): readonly HeaderLine[] {
  const others = (settings.serviceUris ?? []).flatMap(({ uri, purpose }) => ({ uri, purpose: purpose ?? 'info' }));
  const page = settings.hostInfo?.webPage;
  // RFC 3261 §20.9: what is called, described in general.
  const about = page === undefined ? [] : [{ uri: page, purpose: 'info' }];
  return [{ uri: formatUri(dialled), purpose: 'grouptextchat' }, ...others, ...about]
    .filter(({ uri }, i, all) => all.findIndex((entry) => entry.uri === uri) === i)
    .filter(({ purpose }) => TOKEN.test(purpose))
    .map(({ uri, purpose }) => ({ name: 'Call-Info', value: `<${uri}>;purpose=${purpose}` }));
}

/** RFC 3261 §25.1. */
const TOKEN = /^[A-Za-z0-9\-.!%*_+`'~]+$/;
