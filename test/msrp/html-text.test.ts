import t from 'tap';
import { htmlToText } from '../../msrp/html-text.ts';

t.test('HTML becomes text: nothing of it is run, loaded or believed', (t) => {
  for (const [html, text] of [
    ['plain', 'plain'],
    ['<p>Hello <b>Z&ouml;e</b>,<br/>how  are\nyou?</p><p>Bye', 'Hello Zöe,\nhow are you?\nBye'],
    ['<head><title>x</title></head><style>p{}</style><script>alert("<p>")</script>seen', 'seen'],
    ['<!-- <p>hidden</p> -->seen<!-- never closed', 'seen'],
    ['<a href="https://x.example/?a=1&amp;b=2">here</a>', 'here (https://x.example/?a=1&b=2)'],
    ["<a href='https://x.example'>https://x.example</a>", 'https://x.example'],
    ['<a class=y href=https://x.example></a>', 'https://x.example'],
    ['<a href="javascript:alert(1)">click</a>', 'click'],
    ['<ul><li>one<li>two</ul>', '- one\n- two'],
    ['<img src="http://tracker" alt="a cat">', 'a cat'],
    ['1 < 2 &lt; 3 &#x1F600;&#0;&#xD800;&unknown; &amp;lt;', '1 < 2 < 3 😀 &unknown; &lt;'],
    ['a<script>never closed', 'a'],
    ['a < b', 'a < b'],
    ['<p', ''],
  ] as const) {
    t.equal(htmlToText(html), text, html);
  }
  // In quadratic time each of these would take minutes.
  for (const piece of ['<br>x', '<a href="', '&', '<script>', '<!--', '<p ', '<a href=x>y</a>'])
    htmlToText(piece.repeat(100_000));
  htmlToText('<'.repeat(1_000_000));
  t.end();
});
