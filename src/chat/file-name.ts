import { type CpimMessage, mimeValue } from '../../msrp/index.ts';

/** The name a Content-Disposition gives (RFC 2183 §2.3), without what would make a path of it. */
export function fileNameOf(cpim: CpimMessage): string | undefined {
  const disposition = mimeValue(cpim, 'content-disposition') ?? '';
  const [, quoted, bare] = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(disposition) ?? [];
  const name = quoted?.replace(/\\(.)/g, '$1') ?? bare;
  return name === undefined ? undefined : bareFileName(name);
}

/** A name of a file without what would make a path of it, or more than one line; undefined when nothing is left. */
export function bareFileName(name: string): string | undefined {
  const last = name
    .split(/[/\\]/)
    .at(-1)
    ?.replace(/\p{Cc}/gu, '')
    .slice(0, 200);
  return last === undefined || last === '' ? undefined : last;
}
