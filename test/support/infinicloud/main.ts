/** The stand-in in the foreground, to try the product against by hand: prints where everything is, ends on SIGTERM. */

import { startInfiniCloud } from './stand-in.js';

const cloud = await startInfiniCloud();
const { apiUrl, davUrl, backupUrl, v2DavUrl, issuer, clientId, serviceClient, caFile, user, password } =
  cloud;
const shown = {
  apiUrl,
  davUrl,
  backupUrl,
  v2DavUrl,
  issuer,
  clientId,
  serviceClient,
  caFile,
  user,
  password,
};
console.info(JSON.stringify({ ...shown, apiKey: cloud.apiKey, root: cloud.root }, null, 2));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void cloud.stop());
