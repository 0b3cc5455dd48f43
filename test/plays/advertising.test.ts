import t from 'tap';
import { parseConferenceInfo } from '../../src/conference/parse-document.ts';
import { messageSdp, newPath, raise } from './stage.ts';
import { SipPhone } from './sip-phone.ts';

const SERVICES = [
  { uri: 'xmpp:sprint@muc.example.com?join', display_text: 'The same over XMPP' },
  { uri: 'irc://irc.example.com/sprint' },
  { uri: 'https://example.com/sprint', purpose: 'web-page' },
];

const WAYS = [
  { uri: 'tel:+1-555-0100', display_text: 'by telephone' },
  { uri: 'rtsp://example.com/sprint', purpose: 'streaming' },
];

const HOST_URIS = [{ uri: 'mailto:host@example.com', display_text: 'the host' }];

const PAGE = 'https://example.com/about?a=1&b=2';

t.test(
  'RFC 7106: a conference advertises itself and what is configured, in its document and in the answer to INVITE',
  async (t) => {
    const room = {
      ...{ services: SERVICES, conf_uris: WAYS, free_text: 'Every morning, with coffee.' },
      ...{ web_page: PAGE, host_display_text: 'The sprint team', host_uris: HOST_URIS },
    };
    const stage = await raise(`rooms.named=${JSON.stringify({ sprint: room })}`);
    t.teardown(() => stage.close());
    const phone = await SipPhone.connect('alice', stage.sip);
    t.teardown(() => {
      phone.hangUp();
    });
    for (const room of ['sip:sprint@127.0.0.1', 'sip:sprint@localhost:5060;transport=tcp']) {
      const offer = { contentType: 'application/sdp', body: messageSdp(newPath()) };
      const { response, dialog } = await phone.request('INVITE', room, offer);
      phone.ack(dialog);
      t.same(response.headers.all('Call-Info'), [
        `<${room}>;purpose=grouptextchat`,
        '<xmpp:sprint@muc.example.com?join>;purpose=grouptextchat',
        '<irc://irc.example.com/sprint>;purpose=grouptextchat',
        '<https://example.com/sprint>;purpose=web-page',
        `<${PAGE}>;purpose=info`,
      ]);
      const headers = ['Event: conference', 'Accept: application/conference-info+xml', 'Expires: 0'];
      await phone.request('SUBSCRIBE', room, { headers });
      const info = parseConferenceInfo(Buffer.from((await phone.next('NOTIFY')).body).toString());
      t.same(info.host, {
        displayText: 'The sprint team',
        webPage: PAGE,
        uris: [{ uri: 'mailto:host@example.com', displayText: 'the host' }],
      });
      t.equal(info.description?.freeText, 'Every morning, with coffee.');
      t.same(info.description?.confUris, [
        { uri: room, purpose: 'participation' },
        { uri: 'tel:+1-555-0100', displayText: 'by telephone', purpose: 'participation' },
        { uri: 'rtsp://example.com/sprint', purpose: 'streaming' },
      ]);
      t.same(info.description?.serviceUris, [
        { uri: room, displayText: 'Group chat of this conference', purpose: 'grouptextchat' },
        { uri: 'xmpp:sprint@muc.example.com?join', displayText: 'The same over XMPP', purpose: 'grouptextchat' },
        { uri: 'irc://irc.example.com/sprint', purpose: 'grouptextchat' },
        { uri: 'https://example.com/sprint', purpose: 'web-page' },
      ]);
    }
  },
);
