/**
 * The stand-in in the foreground, to try the product against by hand (`npm run demo:infinicloud`): says what to type, or
 * with --json where everything is. Ends on Ctrl-C or SIGTERM.
 */

import { startInfiniCloud } from './stand-in.js';

const cloud = await startInfiniCloud();
const { apiUrl, davUrl, backupUrl, v2DavUrl, issuer, clientId, serviceClient, caFile } = cloud;
const account = { user: cloud.user, password: cloud.password, apiKey: cloud.apiKey, root: cloud.root };
const { user, password, apiKey, root } = account;

if (process.argv.includes('--json')) {
  const places = { apiUrl, davUrl, backupUrl, v2DavUrl, issuer, clientId, serviceClient, caFile };
  console.info(JSON.stringify({ ...places, ...account }, null, 2));
} else {
  console.info(`A stand-in for InfiniCLOUD is up: a made-up account on this machine. In another terminal:

  export XDG_CONFIG_HOME=$(mktemp -d)
  echo '${password}' | bin/infinimount.js login demo --config "$XDG_CONFIG_HOME/demo.toml" --user '${user}' \\
    --password-stdin --api-key ${apiKey} --api ${apiUrl} --ca-file ${caFile}
  mkdir -p ~/infinicloud-demo
  bin/infinimount.js mount demo ~/infinicloud-demo --config "$XDG_CONFIG_HOME/demo.toml"

  df -h ~/infinicloud-demo                # the account's capacity
  ls ${root}   # the files, as the server has them

The same with OAuth2: --auth oauth2 --url ${v2DavUrl} --issuer ${issuer} --client-id ${clientId}
Ctrl-C ends it and deletes its files.`);
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void cloud.stop());
