// fly.io as a tunnel meets it: the API and one gateway with its private network. Neighbours: fly-api.ts, fly-gateway.ts.
import { type ApiPlace, FlyApi } from './fly-api.ts';
import { FlyGateway, type GatewayPlace } from './fly-gateway.ts';

/** The first 48 bits of every address of the organization. */
const networkPrefix = 'fdaa:0:18';
/** The Machine whose ports lead to this machine’s loopback. */
export const firstMachine = `${networkPrefix}::100`;

export interface FlyWorld extends AsyncDisposable {
  readonly api: FlyApi;
  readonly gateway: FlyGateway;
}

export async function flyWorld(place: Partial<GatewayPlace> = {}, apiPlace: ApiPlace = {}): Promise<FlyWorld> {
  const gateway = await FlyGateway.start({ listen: '127.0.0.1', network: `${networkPrefix}::/48`, ...place });
  const api = await FlyApi.start(gateway, networkPrefix, apiPlace);
  await gateway.setNames({ 'orders-db.internal': [firstMachine] });
  return {
    api,
    gateway,
    async [Symbol.asyncDispose]() {
      await api.stop();
      await gateway.stop();
    },
  };
}
