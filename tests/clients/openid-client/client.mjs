// Every step is openid-client's own: it refuses what does not fit its checks of `iss`, `state`, `nonce`, signatures and lifetimes.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { Person } from './person.mjs'

const [issuer, password] = process.argv.slice(2)
const say = (text) => console.log(`\n== ${text}`)
const insecure = { execute: [client.allowInsecureRequests] } // http, on this machine
const unlike = (what) => (thrown) => {
  assert.match(thrown.cause?.message ?? '', what, thrown.stack)
  return true
}
const refused = (error) => (thrown) => {
  assert.equal(thrown.error, error, thrown.stack)
  return true
}

say('Discovery, as OpenID Connect and as OAuth (RFC 8414)')
const shop = await client.discovery(new URL(issuer), 'shop', undefined, client.ClientSecretBasic(process.env.SHOP_SECRET), insecure)
assert.equal(shop.serverMetadata().issuer, issuer)
assert.ok(shop.serverMetadata().supportsPKCE())
assert.equal(shop.serverMetadata().request_uri_parameter_supported, false, 'true where it is left out (Discovery, section 3), and it is refused')
const app = await client.discovery(new URL(issuer), 'app', undefined, client.None(), { algorithm: 'oauth2', ...insecure })
const tv = await client.discovery(new URL(issuer), 'tv', undefined, client.None(), insecure)
for (const config of [shop, app, tv]) client.enableNonRepudiationChecks(config) // the signatures of ID tokens, by the keys of jwks_uri

/// Sends the person away: what the authorization endpoint is asked, and what the answer is checked by.
async function begin(config, redirect_uri, scope, more = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...more,
  })
  if (more.max_age !== undefined) checks.maxAge = more.max_age
  return { url, checks }
}
const shopAsks = (scope, more) => begin(shop, 'http://127.0.0.1:9/cb', scope, more)

say('A code with PKCE: ann logs in, at her second try, and allows it')
const ann = new Person(issuer)
const { url, checks } = await shopAsks('openid profile offline_access orders', { max_age: 3600 })
let page = await ann.logIn(await ann.go(url), 'ann', 'not that')
assert.equal(page.status, 401)
assert.match(page.page, /role="alert"/)
const back = (await ann.allow(await ann.logIn(page, 'ann', password))).url
assert.equal(back.origin + back.pathname, 'http://127.0.0.1:9/cb')
const tokens = await client.authorizationCodeGrant(shop, back, checks)
const claims = tokens.claims()
assert.deepEqual([claims.iss, claims.sub, claims.aud], [issuer, 'ann', 'shop'])
assert.ok(claims.auth_time <= claims.iat && claims.exp > claims.iat)
assert.equal(tokens.token_type, 'bearer')
assert.deepEqual((tokens.scope ?? '').split(' ').sort(), ['offline_access', 'openid', 'orders', 'profile'])

say('What the library refuses: another state, issuer or nonce; and a code twice is refused by the server')
await assert.rejects(client.authorizationCodeGrant(shop, back, { ...checks, expectedState: 'other' }), unlike(/"state"/))
const elsewhere = new URL(back)
elsewhere.searchParams.set('iss', 'https://evil.example')
await assert.rejects(client.authorizationCodeGrant(shop, elsewhere, checks), unlike(/"iss"/))
const other = await shopAsks('openid profile')
page = await ann.go(other.url)
assert.equal(page.url.origin, 'http://127.0.0.1:9', 'she is logged in and has allowed it: no page')
await assert.rejects(client.authorizationCodeGrant(shop, page.url, { ...other.checks, expectedNonce: 'other' }), unlike(/"nonce"/))
await assert.rejects(client.authorizationCodeGrant(shop, page.url, other.checks), refused('invalid_grant'))

say('Userinfo: the same subject, and the claims of `profile`, not those of `email`')
const info = await client.fetchUserInfo(shop, tokens.access_token, claims.sub)
assert.equal(info.name, 'Ann Example')
assert.equal(info.email, undefined)

say('Refresh: rotated; a retry gets the same; the old one after the new one was used ends the family')
const second = await client.refreshTokenGrant(shop, tokens.refresh_token)
assert.notEqual(second.refresh_token, tokens.refresh_token)
assert.notEqual(second.access_token, tokens.access_token)
assert.deepEqual([second.claims().sub, second.claims().auth_time], ['ann', claims.auth_time])
const again = await client.refreshTokenGrant(shop, tokens.refresh_token)
assert.deepEqual([again.refresh_token, again.access_token], [second.refresh_token, second.access_token])
const third = await client.refreshTokenGrant(shop, second.refresh_token, { scope: 'openid' })
const narrow = await client.tokenIntrospection(shop, third.access_token)
assert.deepEqual([narrow.active, narrow.scope], [true, 'openid'])
await assert.rejects(client.refreshTokenGrant(shop, tokens.refresh_token), refused('invalid_grant'))
await assert.rejects(client.refreshTokenGrant(shop, third.refresh_token), refused('invalid_grant'))
assert.equal((await client.tokenIntrospection(shop, third.access_token)).active, false)

say('`prompt` and `max_age`: a log-in that is wanted is asked for, or refused where nobody may be asked')
const stranger = new Person(issuer)
const silent = await shopAsks('openid', { prompt: 'none' })
page = await stranger.go(silent.url)
await assert.rejects(client.authorizationCodeGrant(shop, page.url, silent.checks), refused('login_required'))
page = await ann.go(silent.url)
assert.equal((await client.authorizationCodeGrant(shop, page.url, silent.checks)).claims().sub, 'ann')
const anew = await shopAsks('openid offline_access orders', { prompt: 'login', max_age: 0 })
page = await ann.logIn(await ann.go(anew.url), 'ann', password)
const fresh = await client.authorizationCodeGrant(shop, page.url, anew.checks)
assert.ok(fresh.claims().auth_time >= claims.auth_time)
for (const parameters of [{ prompt: 'login' }, { max_age: 0 }]) {
  const newcomer = new Person(issuer)
  const twice = await shopAsks('openid', { prompt: 'consent' })
  await newcomer.logIn(await newcomer.go(twice.url), 'ann', password)
  page = await newcomer.go((await shopAsks('openid', parameters)).url)
  assert.match(page.page ?? '', /type="password"/, `a log-in of the same second is another log-in: ${JSON.stringify(parameters)}`)
}
const bob = new Person(issuer)
const anns = await shopAsks('openid', { prompt: 'none', id_token_hint: tokens.id_token })
page = await bob.go((await shopAsks('openid')).url)
await bob.allow(await bob.logIn(page, 'bob', password))
page = await bob.go(anns.url)
await assert.rejects(client.authorizationCodeGrant(shop, page.url, anns.checks), refused('login_required'))
const denied = await shopAsks('openid email', { prompt: 'consent' })
page = await ann.send(await ann.go(denied.url), { decision: 'deny' })
await assert.rejects(client.authorizationCodeGrant(shop, page.url, denied.checks), refused('access_denied'))

say('Introspection and revocation')
const told = await client.tokenIntrospection(shop, fresh.access_token)
assert.deepEqual([told.active, told.client_id, told.sub], [true, 'shop', 'ann'])
await client.tokenRevocation(shop, fresh.access_token, { token_type_hint: 'access_token' })
assert.equal((await client.tokenIntrospection(shop, fresh.access_token)).active, false)
await client.tokenRevocation(shop, fresh.refresh_token, { token_type_hint: 'refresh_token' })
await assert.rejects(client.refreshTokenGrant(shop, fresh.refresh_token), refused('invalid_grant'))

say('A public client with an application\'s own scheme, and no refresh token without `offline_access`')
const native = await begin(app, 'com.example.app:/done', 'openid profile')
page = await ann.allow(await ann.go(native.url))
const apps = await client.authorizationCodeGrant(app, page.url, native.checks)
assert.deepEqual([apps.claims().aud, apps.refresh_token], ['app', undefined])

say('A device polls; its user allows it, another is refused')
async function device(decide) {
  const codes = await client.initiateDeviceAuthorization(tv, { scope: 'openid orders' })
  const polled = client.pollDeviceAuthorizationGrant(tv, codes)
  polled.catch(() => {})
  page = await ann.send(await ann.go(codes.verification_uri), { user_code: codes.user_code })
  assert.match(page.page, new RegExp(codes.user_code))
  page = await decide(page)
  assert.equal(page.status, 200)
  return { polled }
}
const first = await device((page) => ann.allow(page))
const last = await device((page) => ann.send(page, { decision: 'deny' }))
assert.equal((await first.polled).claims().sub, 'ann')
await assert.rejects(last.polled, refused('access_denied'))

say('Log-out: whoever comes with her ID token is believed; then nobody is logged in')
const bye = 'http://127.0.0.1:9/bye'
page = await ann.go(client.buildEndSessionUrl(shop, { id_token_hint: tokens.id_token, post_logout_redirect_uri: bye, state: 's 1' }))
assert.equal(page.url.href, `${bye}?state=s+1`)
page = await ann.go(silent.url)
await assert.rejects(client.authorizationCodeGrant(shop, page.url, silent.checks), refused('login_required'))
