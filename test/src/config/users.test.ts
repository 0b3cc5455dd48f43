import { createHash } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { addUser, exposure, listUsers, removeUser, UserFileError, Users } from '../../../src/config/users.ts';

const md5 = (text: string): string => createHash('md5').update(text).digest('hex');
const unexpected = (reason: string): never => {
  throw new Error(reason);
};

t.test('a user is kept as the hashes of name, realm and password (RFC 7616 §3.4.2, RFC 8760)', async (t) => {
  const path = join(t.testdir(), 'data', 'users.json');
  t.equal(addUser(path, 'grouptextchat', 'alice', 'secret'), 'added');
  t.equal(addUser(path, 'grouptextchat', 'bob', 'zażółć'), 'added');
  const users = new Users(path, 'grouptextchat', unexpected);
  t.equal(users.ha1('alice', 'MD5', 0), md5('alice:grouptextchat:secret'));
  t.equal(users.ha1('alice', 'SHA-256', 0), createHash('sha256').update('alice:grouptextchat:secret').digest('hex'));
  t.equal(users.ha1('bob', 'MD5', 0), md5('bob:grouptextchat:zażółć'.normalize('NFC')), 'UTF-8, NFC');
  t.equal(users.ha1('carol', 'MD5', 0), undefined);
  t.equal(users.ha1('__proto__', 'MD5', 0), undefined);
  t.notMatch(readFileSync(path, 'utf8'), /secret/);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.equal(exposure(path), undefined);
  chmodSync(path, 0o644);
  t.match(exposure(path), /can be read by others .*mode 644.*chmod 600/);
  chmodSync(path, 0o600);
  t.same(listUsers(path, 'grouptextchat'), ['alice', 'bob']);
});

t.test('a password can be changed and a user removed', async (t) => {
  const path = join(t.testdir(), 'users.json');
  addUser(path, 'r', 'alice', 'one');
  t.equal(addUser(path, 'r', 'alice', 'two'), 'changed');
  t.equal(new Users(path, 'r', unexpected).ha1('alice', 'MD5', 0), md5('alice:r:two'));
  t.equal(removeUser(path, 'r', 'alice'), true);
  t.equal(removeUser(path, 'r', 'alice'), false);
  t.same(listUsers(path, 'r'), []);
  t.same(readdirSync(join(path, '..')), ['users.json'], 'nothing else is left behind');
});

t.test('the running service sees a changed file within a second, and keeps the last good one', async (t) => {
  const path = join(t.testdir(), 'users.json');
  const faults: string[] = [];
  const users = new Users(path, 'r', (reason) => faults.push(reason));
  t.equal(users.ha1('alice', 'MD5', 0), undefined, 'no file, no users');
  addUser(path, 'r', 'alice', 'one');
  t.equal(users.ha1('alice', 'MD5', 999), undefined);
  t.equal(users.ha1('alice', 'MD5', 1000), md5('alice:r:one'));
  writeFileSync(path, '{');
  t.equal(users.ha1('alice', 'MD5', 2000), md5('alice:r:one'));
  t.equal(users.ha1('alice', 'MD5', 3000), md5('alice:r:one'));
  t.match(faults, [/users\.json is no user file: .*JSON/]);
  t.equal(faults.length, 1, 'told once');
  rmSync(path);
  t.equal(users.ha1('alice', 'MD5', 4000), md5('alice:r:one'), 'nobody is locked out because the file is gone');
  t.match(faults.slice(1), [/users\.json is gone: the users are those that it had/]);
  addUser(path, 'r', 'bob', 'two');
  t.equal(users.ha1('alice', 'MD5', 5000), undefined);
  t.equal(users.ha1('bob', 'MD5', 5000), md5('bob:r:two'));
});

t.test('names and passwords that would be trouble are refused', async (t) => {
  const path = join(t.testdir(), 'users.json');
  for (const name of ['', 'a:b', 'a b', 'ä', '"', 'a'.repeat(65), '../x']) {
    t.throws(() => addUser(path, 'r', name, 'x'), UserFileError, JSON.stringify(name));
  }
  for (const password of ['', 'a\nb', '\0']) t.throws(() => addUser(path, 'r', 'alice', password), UserFileError);
  t.same(listUsers(path, 'r'), []);
});

t.test('what is wrong with a file is said', async (t) => {
  const dir = t.testdir({ 'bad.json': '{"realm":"r","users":{"alice":{"MD5":"x"}}}', 'users.json.new': '' });
  t.throws(() => listUsers(join(dir, 'bad.json'), 'r'), /bad\.json is no user file/);
  t.throws(() => new Users(join(dir, 'bad.json'), 'r', unexpected), UserFileError);
  t.throws(() => addUser(join(dir, 'users.json'), 'r', 'alice', 'x'), /another command is changing the users/);
  addUser(join(dir, 'other.json'), 'one', 'alice', 'x');
  t.throws(() => addUser(join(dir, 'other.json'), 'two', 'bob', 'x'), /made for the realm "one"/);
  t.throws(() => listUsers(dir, 'r'), /cannot be read/);
});

t.test('a failed change leaves the file as it was', async (t) => {
  const path = join(t.testdir(), 'users.json');
  writeFileSync(path, 'not ours');
  chmodSync(path, 0o600);
  t.throws(() => addUser(path, 'r', 'alice', 'x'), UserFileError);
  t.equal(readFileSync(path, 'utf8'), 'not ours');
  t.same(readdirSync(join(path, '..')), ['users.json']);
});
