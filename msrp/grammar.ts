/**
 * The rules of RFC 4975 §9 (and the few of RFC 3986 and RFC 7977 they lean on) as sources of regular expressions, each
 * under its own name. None of them can backtrack over more than one alternative, so matching is linear.
 */

/** token = 1*(%x21 / %x23-27 / %x2A-2B / %x2D-2E / %x30-39 / %x41-5A / %x5E-7E) */
export const token = "[!#-'*+\\-.0-9A-Z^-~]+";

/** ident = ALPHANUM 3*31ident-char */
export const ident = '[A-Za-z0-9][A-Za-z0-9.\\-+%=]{3,31}';

/** quoted-string = DQUOTE *(qdtext / qd-esc) DQUOTE */
export const quotedString = '"(?:[^"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\["\\\\])*"';

/** session-id = 1*( unreserved / "+" / "=" / "/" ) */
export const sessionId = '[A-Za-z0-9\\-._~+=/]+';

/** transport = "tcp" / "ws" / 1*ALPHANUM (RFC 7977 §5.2.1) */
export const transport = '[A-Za-z0-9]+';

/** userinfo of RFC 3986 without ":", because RFC 4975 §6 allows no password. */
export const userinfo = "(?:[A-Za-z0-9\\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*";

/** reg-name and IPv4address of RFC 3986; an empty host names no device. */
export const regName = "(?:[A-Za-z0-9\\-._~!$&'()*+,=]|%[0-9A-Fa-f]{2})+";

/** The inside of IP-literal of RFC 3986, zone excluded. */
export const ipLiteral = '[0-9A-Fa-f:.]{2,45}';
