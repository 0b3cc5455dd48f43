'use strict';

const { builtinModules } = require('node:module');

// The layer laws. ARCHITECTURE.md has them as a table with their reasons; this file is what holds.

/** The layers of the service, top first: each may import what stands after it, never before it. */
const layers = [
  ['cli', '^src/cli(\\.ts$|/)'],
  ['service', '^src/service(\\.ts$|/)'],
  ['ops', '^src/ops/'],
  ['focus', '^src/focus/'],
  ['chat', '^src/chat/'],
  ['log', '^src/log/'],
  ['policy', '^src/policy/'],
  ['conference', '^src/conference/'],
];

const sockets = '^(node:)?(net|tls|dgram|dns|dns/promises|http|https|http2)$|node_modules/ws/';
const nodeModules = `^(node:)?(${builtinModules.join('|')})$`;
const frontDoors = ['^msrp/index\\.ts$', '^msrp/node\\.ts$', '^sip/index\\.ts$'];

const arrowsPointDown = layers.slice(1).map(([name, path], i) => ({
  name: `arrows-point-down-from-${name}`,
  comment: `src/${name} may not import what stands above it`,
  severity: 'error',
  from: { path },
  to: { path: layers.slice(0, i + 1).map(([, above]) => above) },
}));

/** `library` is imported only by files that match one of `by`. */
const onlyIn = (library, by) => ({
  name: `${library}-has-one-place`,
  comment: `${library} is imported only by ${by.join(', ')}`,
  severity: 'error',
  from: { path: '^(src|msrp|sip)/', pathNot: by },
  to: { path: `node_modules/${library.replaceAll('.', '\\.')}/` },
});

/** Of the files under `from`, one at most imports `library`. */
const oneFile = (library, from) => ({
  name: `${library}-in-one-file-of-${from.replaceAll('/', '-')}`,
  comment: `one file of ${from} at most imports ${library}`,
  severity: 'error',
  from: { path: `^${from}/` },
  module: { path: `node_modules/${library}/`, numberOfDependentsMoreThan: 1 },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'not even of types: a cycle says that two files are one',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'msrp-stands-alone',
      severity: 'error',
      from: { path: '^msrp/' },
      to: { path: '^(sip|src|test|config)/' },
    },
    {
      name: 'sip-stands-alone',
      severity: 'error',
      from: { path: '^sip/' },
      to: { path: '^(msrp|src|test|config)/' },
    },
    {
      name: 'front-doors',
      comment: 'the service and its tests use the libraries as anybody else would',
      severity: 'error',
      from: { path: '^(src|test/(src|plays|interop))/' },
      to: { path: '^(msrp|sip)/', pathNot: frontDoors },
    },
    {
      name: 'msrp-index-is-portable',
      comment: 'grouptextchat/msrp must bundle for a browser',
      severity: 'error',
      from: { path: '^msrp/index\\.ts$' },
      to: { path: nodeModules, reachable: true },
    },
    ...arrowsPointDown,
    {
      name: 'no-protocol-below-the-chat',
      comment: 'state, rules and log know no protocol',
      severity: 'error',
      from: { path: '^src/(conference|policy|log)/' },
      to: { path: '^(msrp|sip)/' },
    },
    {
      name: 'configuration-stays-on-top',
      comment: 'only the wiring and the commands know the configuration; all else is given plain options',
      severity: 'error',
      from: { path: '^(src|msrp|sip)/', pathNot: ['^src/config/', '^src/service(\\.ts$|/)', '^src/cli(\\.ts$|/)'] },
      to: { path: '^src/config/' },
    },
    {
      name: 'configuration-knows-nobody',
      severity: 'error',
      from: { path: '^src/config/' },
      to: { path: '^(src|msrp|sip)/', pathNot: '^src/config/' },
    },
    {
      name: 'client-is-a-stranger-to-the-service',
      comment: 'the client is an independent implementation that the server is tested against',
      severity: 'error',
      from: { path: '^src/client/' },
      to: { path: '^(src|sip)/', pathNot: ['^src/client/', '^src/conference/'] },
    },
    {
      name: 'terminal-stands-on-the-client',
      severity: 'error',
      from: { path: '^src/terminal/' },
      to: { path: '^(src|sip)/', pathNot: ['^src/(terminal|client|conference)/'] },
    },
    {
      name: 'service-does-not-know-its-clients',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/cli(\\.ts$|/)', '^src/(client|terminal)/'] },
      to: { path: '^src/(client|terminal)/' },
    },
    {
      name: 'sockets-under-transport',
      comment: 'the core takes bytes by method calls; HTTP and the WebSocket upgrade are the business of src/ops',
      severity: 'error',
      from: { path: '^(src|msrp|sip)/', pathNot: ['/transport/', '^src/ops/'] },
      to: { path: sockets, dependencyTypesNot: ['type-only'] },
    },
    onlyIn('pino', ['^src/ops/logger\\.ts$']),
    onlyIn('sip.js', ['^src/client/']),
    onlyIn('fast-xml-parser', ['^msrp/', '^src/conference/']),
    oneFile('fast-xml-parser', 'msrp'),
    oneFile('fast-xml-parser', 'src/conference'),
    onlyIn('libsql', ['^src/log/']),
    onlyIn('fastify', ['^src/ops/']),
    onlyIn('prom-client', ['^src/ops/']),
    onlyIn('selfsigned', ['^src/ops/certificate\\.ts$']),
    onlyIn('zod', ['^src/config/']),
    onlyIn('yaml', ['^src/config/']),
    onlyIn('commander', ['^src/cli(\\.ts$|/)']),
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { path: '^(src|msrp|sip)/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-junk-drawers',
      comment: 'a file is named after what it holds',
      severity: 'error',
      from: {},
      to: { path: '(^|/)(utils?|common|helpers?|misc)(/|\\.ts$)', pathNot: 'node_modules' },
    },
    {
      name: 'no-development-dependency-in-the-product',
      severity: 'error',
      from: { path: '^(src|msrp|sip)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'every-package-is-listed',
      severity: 'error',
      from: { path: '^(src|msrp|sip|test)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|\\.tap)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
    preserveSymlinks: false,
  },
};
