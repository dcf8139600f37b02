// An OpenID provider that nobody here wrote: `oidc-provider` of npm, with its own log-in and consent pages for development.
import Provider from 'oidc-provider';

const [port, gateway, secret] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: 'gateway',
    client_secret: secret,
    redirect_uris: [`${gateway}/back`, `${gateway}/corp/back`],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
  }],
  features: { clientCredentials: { enabled: true }, revocation: { enabled: true }, devInteractions: { enabled: true } },
  scopes: ['openid', 'offline_access', 'stock'],
  pkce: { required: () => true },
  cookies: { keys: ['a key of this test'] },
});
provider.listen(Number(port), '127.0.0.1');
