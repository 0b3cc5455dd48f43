import t from 'tap';
import { Conference } from '../../src/conference/conference.ts';
import { eventNumber } from '../../src/conference/ids.ts';
import { shortTitleOf, titleOf } from '../../src/focus/title.ts';

t.test('a room is called by its subject, else by its name; as a display name shortly, and in whole characters', (t) => {
  const conference = new Conference({ displayText: 'The lobby' });
  t.equal(titleOf({ conference }), 'The lobby');
  t.equal(titleOf({ conference: new Conference() }), undefined);
  const subject = `${'a'.repeat(59)}🎉🎉`;
  conference.apply({ type: 'subject', at: 1, subject }, eventNumber(1));
  t.equal(titleOf({ conference }), subject);
  t.equal(shortTitleOf({ conference }), 'a'.repeat(59));
  t.end();
});
