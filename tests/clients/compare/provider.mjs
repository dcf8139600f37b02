// npm's `oidc-provider` with the clients, scopes, grants and endpoints that the node beside it has, and the same rules where it leaves a choice.
import Provider from 'oidc-provider'

const [port] = process.argv.slice(2)
const client = (client_id, secret, more) => ({ client_id, client_secret: process.env[secret], token_endpoint_auth_method: 'client_secret_basic', ...more })
const flows = { grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'], response_types: ['code'] }
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    client('shop', 'SHOP_SECRET', { ...flows, redirect_uris: ['https://shop.example/cb'], post_logout_redirect_uris: ['https://shop.example/bye'] }),
    client('other', 'OTHER_SECRET', { ...flows, redirect_uris: ['https://other.example/cb'] }),
    client('job', 'JOB_SECRET', { grant_types: ['client_credentials'], response_types: [], redirect_uris: [], scope: 'orders' }),
  ],
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, name: 'Ann Example' }) }),
  scopes: ['openid', 'profile', 'offline_access', 'orders'],
  claims: { profile: ['name'] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  enableHttpPostMethods: true,
  features: {
    claimsParameter: { enabled: true },
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: true },
  },
  cookies: { keys: ['a key of this test'], long: { sameSite: 'none' } },
})
provider.listen(Number(port), '127.0.0.1')
