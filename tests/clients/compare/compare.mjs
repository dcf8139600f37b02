import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Person } from './person.mjs'

const [ours, theirs, password, page] = process.argv.slice(2)
const secrets = { shop: process.env.SHOP_SECRET, other: process.env.OTHER_SECRET, job: process.env.JOB_SECRET }
const callback = { shop: 'https://shop.example/cb', other: 'https://other.example/cb' }
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const challenge = createHash('sha256').update(verifier).digest('base64url')
const everything = 'openid profile offline_access orders'
const device = 'urn:ietf:params:oauth:grant-type:device_code'
const basic = (id, secret = secrets[id]) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` })

/// What each server's pages want to be told.
const pages = {
  [ours]: {
    logIn: (person, at, name) => person.send(at, { username: name, password }),
    allow: (person, at) => person.allow(at),
    deny: (person, at) => person.send(at, { decision: 'deny' }),
    connect: (person, at) => person.allow(at),
    disconnect: (person, at) => person.send(at, { decision: 'deny' }),
    stay: (person, at) => person.send(at, { decision: 'stay' }),
    logOut: (person, at) => person.send(at, { decision: 'log-out' }),
  },
  [theirs]: {
    logIn: (person, at, name) => person.send(at, { prompt: 'login', login: name, password }),
    allow: (person, at) => person.send(at, { prompt: 'consent' }),
    deny: (person, at) => person.go(new URL(at.page.match(/href="([^"]*abort)"/)[1], at.url)),
    connect: (person, at) => person.send(at, {}), // nothing is asked that was agreed to
    disconnect: (person, at) => person.send(at, { abort: 'yes' }),
    stay: (person, at) => person.send(at, {}),
    logOut: (person, at) => person.send(at, { logout: 'yes' }),
  },
}

/// The headers that are compared, and what of them: of answers without a browser, of what a browser gets, and of a few of its pages.
const mediaType = (value) => value.split(';')[0]
const challenges = (value) => value.replace(/(\w+)="[^"]*"/g, (text, name) => (name === 'error' ? text : name))
const headers = { 'content-type': mediaType, 'cache-control': String, 'www-authenticate': challenges, allow: String }
const framed = (value) => value.match(/frame-ancestors [^;]*/)?.[0] ?? 'none'
const guards = { 'x-frame-options': String, 'referrer-policy': String, 'x-content-type-options': String, 'content-security-policy': framed }
const guarded = ['authorize', 'authorize: unknown client', 'log-in', 'device: the page']

const observed = new Map() // request → aspect → server → text
function note(server, request, aspect, text) {
  if (!observed.has(request)) observed.set(request, new Map())
  const aspects = observed.get(request)
  if (!aspects.has(aspect)) aspects.set(aspect, { [ours]: 'none', [theirs]: 'none' })
  aspects.get(aspect)[server] = text
}

async function story(server) {
  const act = pages[server]
  const metadata = await (await fetch(`${server}/.well-known/openid-configuration`)).json()
  const at = (name) => metadata[`${name}_endpoint`]

  /// A request without a browser; returns the JSON of its answer.
  async function ask(request, url, { form, headers: sent = {}, method, body } = {}) {
    const answer = await fetch(url, {
      method: method ?? (form || body ? 'POST' : 'GET'),
      headers: sent,
      body: form ? new URLSearchParams(form) : body,
      redirect: 'manual',
    })
    const text = await answer.text()
    let json
    try {
      json = JSON.parse(text)
    } catch {
      json = undefined
    }
    if (request) {
      note(server, request, 'answer', `${answer.status}${json?.error ? ` ${json.error}` : ''}`)
      if (json && !json.error) note(server, request, 'members', Object.keys(json).sort().join(' '))
      for (const [name, of] of Object.entries(headers)) {
        const value = answer.headers.get(name)
        if (value !== null && (name !== 'content-type' || text)) note(server, request, name, of(value))
      }
      const allowed = answer.headers.get('access-control-allow-origin')
      if (sent.origin) note(server, request, 'access-control-allow-origin', allowed === sent.origin ? 'that origin' : String(allowed))
    }
    return json ?? {}
  }
  const token = (request, id, form, more = {}, query = '') => ask(request, at('token') + query, { form, headers: id ? basic(id) : {}, ...more })

  /// A request by a browser; returns where that is then.
  function looked(request, ended) {
    let answer = `${ended.status} a page`
    if (ended.page === undefined) {
      const fragment = ended.url.hash.slice(1)
      const told = new URLSearchParams(fragment || ended.url.search)
      const where = Object.keys(callback).find((client) => new URL(callback[client]).origin === ended.url.origin) ?? ended.url.origin
      answer = `to the ${where}: ${(told.get('error') ?? [...told.keys()].join(' ')) || 'nothing more'}`
      if (told.has('error')) note(server, request, 'members', [...told.keys()].filter((name) => name !== 'error_description').sort().join(' '))
      if (fragment) answer += ', in the fragment'
    } else if (/type="password"/.test(ended.page)) answer = `${ended.status} log-in`
    else if (/value="allow"|name="prompt" value="consent"/.test(ended.page)) answer = `${ended.status} consent`
    else if (ended.status === 200) answer += ` ${/<form[^>]*method="post"/.test(ended.page) ? 'with a form' : ''}`.trimEnd()
    note(server, request, 'answer', answer)
    for (const [name, of] of Object.entries({ 'cache-control': String, ...(guarded.includes(request) ? guards : {}) })) {
      if (ended.headers.has(name)) note(server, request, name, of(ended.headers.get(name)))
    }
    return ended
  }
  const asks = (more = {}) => {
    const parameters = {
      client_id: 'shop', redirect_uri: callback.shop, response_type: 'code', scope: 'openid', state: 's 1', nonce: 'n',
      code_challenge: challenge, code_challenge_method: 'S256', ...more,
    }
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(parameters)) for (const one of [value].flat()) if (one !== undefined) query.append(name, one)
    return `${at('authorization')}?${query}`
  }
  const goes = async (request, person, more) => looked(request, await person.go(asks(more)))

  // --- authorization endpoint: nobody is logged in -------------------------------------------------------------------------
  const nobody = () => new Person(server)
  await goes('authorize', nobody())
  await goes('authorize: unknown client', nobody(), { client_id: 'nobody' })
  await goes('authorize: no client', nobody(), { client_id: undefined })
  await goes('authorize: client twice', nobody(), { client_id: ['shop', 'shop'] })
  await goes('authorize: unknown redirect URI', nobody(), { redirect_uri: 'https://evil.example/cb' })
  await goes('authorize: redirect URI with a slash more', nobody(), { redirect_uri: `${callback.shop}/` })
  await goes('authorize: no redirect URI', nobody(), { redirect_uri: undefined })
  await goes('authorize: no redirect URI, without openid', nobody(), { redirect_uri: undefined, scope: 'orders' })
  await goes('authorize: redirect URI twice', nobody(), { redirect_uri: [callback.shop, callback.shop] })
  await goes('authorize: no response type', nobody(), { response_type: undefined })
  await goes('authorize: response type token', nobody(), { response_type: 'token' })
  await goes('authorize: response type of nobody', nobody(), { response_type: 'foo' })
  await goes('authorize: response type twice', nobody(), { response_type: ['code', 'code'] })
  await goes('authorize: no challenge', nobody(), { code_challenge: undefined, code_challenge_method: undefined })
  await goes('authorize: challenge without a method', nobody(), { code_challenge_method: undefined })
  await goes('authorize: method without a challenge', nobody(), { code_challenge: undefined })
  await goes('authorize: method plain', nobody(), { code_challenge_method: 'plain' })
  await goes('authorize: challenge too short', nobody(), { code_challenge: 'short' })
  await goes('authorize: unknown scope', nobody(), { scope: 'openid nonsense' })
  await goes('authorize: only an unknown scope', nobody(), { scope: 'nonsense' })
  await goes('authorize: scope with a character that is none', nobody(), { scope: 'openid "' })
  await goes('authorize: no scope', nobody(), { scope: undefined })
  await goes('authorize: scope twice', nobody(), { scope: ['openid', 'openid'] })
  await goes('authorize: state twice', nobody(), { state: ['a', 'b'] })
  await goes('authorize: no state', nobody(), { state: undefined, scope: 'openid nonsense', prompt: 'none' })
  await goes('authorize: unknown parameter, twice', nobody(), { unknown: ['a', 'b'] })
  await goes('authorize: prompt none', nobody(), { prompt: 'none' })
  await goes('authorize: prompt none and another', nobody(), { prompt: 'none login' })
  await goes('authorize: unknown prompt', nobody(), { prompt: 'foo' })
  await goes('authorize: max_age that is no number', nobody(), { max_age: 'x' })
  await goes('authorize: negative max_age', nobody(), { max_age: '-1' })
  await goes('authorize: request', nobody(), { request: 'e30.e30.' })
  await goes('authorize: request_uri', nobody(), { request_uri: 'https://shop.example/request' })
  await goes('authorize: registration', nobody(), { registration: '{}' })
  await goes('authorize: response mode fragment', nobody(), { response_mode: 'fragment', prompt: 'none' })
  await goes('authorize: response mode form_post', nobody(), { response_mode: 'form_post', prompt: 'none' })
  await goes('authorize: unknown response mode', nobody(), { response_mode: 'foo' })
  await goes('authorize: hint that is no token', nobody(), { id_token_hint: 'x' })
  await goes('authorize: claims that are no JSON', nobody(), { claims: '{' })
  await goes('authorize: client without the grant', nobody(), { client_id: 'job', redirect_uri: 'https://job.example/cb' })
  await goes('authorize: display, ui_locales, login_hint', nobody(), { display: 'page', ui_locales: 'de en', login_hint: 'ann' })
  looked('authorize by POST', await nobody().go(at('authorization'), Object.fromEntries(new URL(asks()).searchParams)))
  await ask('authorize by PUT', asks(), { method: 'PUT' })

  // --- ann logs in --------------------------------------------------------------------------------------------------------
  const ann = new Person(server)
  looked('log-in', await act.logIn(ann, await ann.go(asks({ scope: everything, prompt: 'consent' })), 'ann'))
  await goes('logged in: prompt none before consent', ann, { prompt: 'none' })
  looked('consent is denied', await act.deny(ann, await ann.go(asks({ scope: everything, prompt: 'consent' }))))
  /// A code for all scopes; she is asked each time, since only then oidc-provider gives a refresh token.
  const code = async (request) => {
    const ended = await act.allow(ann, await ann.go(asks({ scope: everything, prompt: 'consent' })))
    return (request ? looked(request, ended) : ended).url.searchParams.get('code')
  }
  const first = await code('consent is given')
  await goes('logged in: prompt none', ann, { prompt: 'none' })
  await goes('logged in: prompt login', ann, { prompt: 'login' })
  await goes('logged in: prompt consent', ann, { prompt: 'consent' })
  await goes('logged in: prompt select_account', ann, { prompt: 'select_account' })
  await goes('logged in: max_age 0', ann, { max_age: '0' })
  await goes('logged in: a long max_age', ann, { max_age: '3600' })
  await goes('logged in: without openid', ann, { scope: 'orders' })

  // --- token endpoint: codes ----------------------------------------------------------------------------------------------
  const redeems = (code, more) => {
    const form = { grant_type: 'authorization_code', code, redirect_uri: callback.shop, code_verifier: verifier, ...more }
    return Object.fromEntries(Object.entries(form).filter(([, value]) => value !== undefined))
  }
  const tokens = await token('code', 'shop', redeems(first))
  const [head, claims] = tokens.id_token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')))
  note(server, 'code', 'members of the ID token', Object.keys(claims).sort().join(' '))
  note(server, 'code', 'members of its header', Object.keys(head).sort().join(' '))
  note(server, 'code', 'algorithm of the ID token', head.alg)
  await goes('logged in: prompt none, hint of the same user', ann, { prompt: 'none', id_token_hint: tokens.id_token })
  const [h, c, s] = tokens.id_token.split('.')
  await goes('logged in: prompt none, hint with another signature', ann, { prompt: 'none', id_token_hint: [h, c, s.split('').reverse().join('')].join('.') })
  const wanting = (claims) => ({ prompt: 'none', claims: JSON.stringify(claims) })
  await goes('logged in: claims of the same user', ann, wanting({ id_token: { sub: { value: 'ann' } } }))
  await goes('logged in: claims of another user', ann, wanting({ id_token: { sub: { value: 'bob' } } }))
  await goes('logged in: claims that want a class of log-in', ann, wanting({ id_token: { acr: { essential: true, values: ['gold'] } } }))
  await goes('logged in: claims that would like a class of log-in', ann, wanting({ id_token: { acr: { values: ['gold'] } } }))
  await goes('logged in: acr_values', ann, { prompt: 'none', acr_values: 'gold' })
  await goes('logged in: claims of nobody', ann, wanting({ nonsense: {}, id_token: { nonsense: null } }))
  await goes('logged in: claims that are no object', ann, wanting([]))
  const bob = new Person(server)
  const bobs = (await act.allow(bob, await act.logIn(bob, await bob.go(asks()), 'bob'))).url.searchParams.get('code')
  await goes('logged in: prompt none, hint of another user', bob, { prompt: 'none', id_token_hint: tokens.id_token })
  await token('code of another client', 'other', redeems(await code()))
  await token('code: another verifier', 'shop', redeems(await code(), { code_verifier: 'x'.repeat(43) }))
  await token('code: verifier too short', 'shop', redeems(await code(), { code_verifier: 'x' }))
  await token('code: no verifier', 'shop', redeems(await code(), { code_verifier: undefined }))
  await token('code: another redirect URI', 'shop', redeems(await code(), { redirect_uri: callback.other }))
  await token('code: no redirect URI', 'shop', redeems(await code(), { redirect_uri: undefined }))
  await token('code: unknown', 'shop', redeems('nonsense'))
  await token('code: none', 'shop', redeems(undefined))
  const twice = await code()
  const live = await token(null, 'shop', redeems(twice))
  await token('code twice', 'shop', redeems(twice))
  await ask('code twice: userinfo with what it gave', at('userinfo'), { headers: { authorization: `Bearer ${live.access_token}` } })
  await token('code twice: refresh with what it gave', 'shop', { grant_type: 'refresh_token', refresh_token: live.refresh_token })

  // --- token endpoint: who, and how ---------------------------------------------------------------------------------------
  const cc = { grant_type: 'client_credentials' }
  await token('client credentials', 'job', cc)
  await token('client credentials: with a scope', 'job', { ...cc, scope: 'orders' })
  await token('client credentials: scope of others', 'job', { ...cc, scope: 'profile' })
  await token('client credentials: unknown scope', 'job', { ...cc, scope: 'nonsense' })
  await token('client without the grant', 'shop', cc)
  await token('no grant type', 'job', {})
  await token('unknown grant type', 'job', { grant_type: 'foo' })
  await token('grant type password', 'shop', { grant_type: 'password', username: 'ann', password })
  await token('no client', null, cc)
  await token('unknown client', null, cc, { headers: basic('nobody', 'x') })
  await token('wrong secret', null, cc, { headers: basic('job', 'x') })
  await token('unknown client in the form', null, { ...cc, client_id: 'nobody', client_secret: 'x' })
  await token('client in the form without its secret', null, { ...cc, client_id: 'job' })
  await token('client in header and form', 'job', { ...cc, client_id: 'job', client_secret: secrets.job })
  await token('another client in the form', 'job', { ...cc, client_id: 'shop' })
  await token('header that is no Basic', null, cc, { headers: { authorization: 'Basic !' } })
  await token('secret in the query', null, cc, {}, `?client_id=job&client_secret=${secrets.job}`)
  await token('grant type twice', 'job', [['grant_type', 'client_credentials'], ['grant_type', 'client_credentials']])
  await token('empty scope', 'job', { ...cc, scope: '' })
  await token('unknown parameter', 'job', { ...cc, unknown: 'x' })
  await ask('token by GET', `${at('token')}?grant_type=client_credentials`, { headers: basic('job') })
  const elsewhere = { origin: 'https://app.example' }
  const json = { ...basic('job'), 'content-type': 'application/json' }
  await ask('token with JSON', at('token'), { body: '{"grant_type":"client_credentials"}', headers: json })
  await ask('token by OPTIONS', at('token'), { method: 'OPTIONS', headers: { ...elsewhere, 'access-control-request-method': 'POST' } })

  // --- refresh ------------------------------------------------------------------------------------------------------------
  const refreshes = (refresh_token, more) => ({ grant_type: 'refresh_token', refresh_token, ...more })
  const one = await token(null, 'shop', redeems(await code())) // there, a code that is used twice ends all that the user has granted
  const second = await token('refresh', 'shop', refreshes(one.refresh_token))
  const third = await token('refresh: narrower', 'shop', refreshes(second.refresh_token, { scope: 'openid' }))
  await token('refresh: wider', 'shop', refreshes(third.refresh_token, { scope: 'openid address' }))
  await token('refresh: of another client', 'other', refreshes(third.refresh_token))
  await token('refresh: unknown', 'shop', refreshes('nonsense'))
  await token('refresh: none', 'shop', { grant_type: 'refresh_token' })
  await token('refresh: an access token', 'shop', refreshes(third.access_token))
  await token('refresh: used before', 'shop', refreshes(one.refresh_token))
  await token('refresh: its successor after that', 'shop', refreshes(third.refresh_token))
  await ask('refresh: userinfo after that', at('userinfo'), { headers: { authorization: `Bearer ${third.access_token}` } })
  const retried = await token(null, 'shop', redeems(await code()))
  await token(null, 'shop', refreshes(retried.refresh_token))
  await token('refresh: sent again at once', 'shop', refreshes(retried.refresh_token))

  // --- introspection ------------------------------------------------------------------------------------------------------
  const fresh = await token(null, 'shop', redeems(await code()))
  const introspects = (request, id, form, headers = id ? basic(id) : {}) => ask(request, at('introspection'), { form, headers })
  await introspects('introspect', 'shop', { token: fresh.access_token })
  await introspects('introspect: a wrong hint', 'shop', { token: fresh.access_token, token_type_hint: 'refresh_token' })
  await introspects('introspect: a refresh token', 'shop', { token: fresh.refresh_token })
  const told = await introspects('introspect: of another client', 'other', { token: fresh.access_token })
  note(server, 'introspect: of another client', 'active', String(told.active))
  await introspects('introspect: unknown', 'shop', { token: 'nonsense' })
  await introspects('introspect: none', 'shop', {})
  await introspects('introspect: no client', null, { token: fresh.access_token })
  await introspects('introspect: wrong secret', null, { token: fresh.access_token }, basic('shop', 'x'))

  // --- userinfo -----------------------------------------------------------------------------------------------------------
  const bearer = (token) => ({ authorization: `Bearer ${token}` })
  await ask('userinfo', at('userinfo'), { headers: bearer(fresh.access_token) })
  await ask('userinfo by POST', at('userinfo'), { headers: bearer(fresh.access_token), method: 'POST' })
  await ask('userinfo: token in the form', at('userinfo'), { form: { access_token: fresh.access_token } })
  await ask('userinfo: token in the query', `${at('userinfo')}?access_token=${fresh.access_token}`)
  await ask('userinfo: two tokens', at('userinfo'), { headers: bearer(fresh.access_token), form: { access_token: fresh.access_token } })
  await ask('userinfo: no token', at('userinfo'))
  await ask('userinfo: unknown token', at('userinfo'), { headers: bearer('nonsense') })
  await ask('userinfo: another scheme', at('userinfo'), { headers: basic('shop') })
  const plain = await token(null, 'job', cc)
  await ask('userinfo: token of a client', at('userinfo'), { headers: bearer(plain.access_token) })

  // --- revocation ---------------------------------------------------------------------------------------------------------
  const revokes = (request, id, form, headers = id ? basic(id) : {}) => ask(request, at('revocation'), { form, headers })
  await revokes('revoke: no client', null, { token: fresh.access_token })
  await revokes('revoke: none', 'shop', {})
  await revokes('revoke: unknown', 'shop', { token: 'nonsense' })
  await revokes('revoke: of another client', 'other', { token: fresh.access_token })
  await ask('revoke: of another client, then userinfo', at('userinfo'), { headers: bearer(fresh.access_token) })
  await revokes('revoke: an unknown hint', 'shop', { token: fresh.refresh_token, token_type_hint: 'foo' })
  await ask('revoke: userinfo after the refresh token is revoked', at('userinfo'), { headers: bearer(fresh.access_token) })
  const after = await introspects('introspect: revoked', 'shop', { token: fresh.access_token })
  note(server, 'introspect: revoked', 'active', String(after.active))
  await token('refresh: revoked', 'shop', refreshes(fresh.refresh_token))
  const alone = await token(null, 'shop', redeems(await code()))
  await revokes('revoke: an access token', 'shop', { token: alone.access_token })
  await token('refresh: after its access token is revoked', 'shop', refreshes(alone.refresh_token))

  // --- devices ------------------------------------------------------------------------------------------------------------
  const begins = (request, id, form, headers = id ? basic(id) : {}) => ask(request, at('device_authorization'), { form, headers })
  const codes = await begins('device', 'shop', { scope: 'openid orders' })
  await begins('device: no client', null, { scope: 'openid' })
  await begins('device: client without the grant', 'job', { scope: 'orders' })
  await begins('device: unknown scope', 'shop', { scope: 'nonsense' })
  await begins('device: no scope', 'shop', {})
  const polls = (request, device_code, id = 'shop') => token(request, id, device_code ? { grant_type: device, device_code } : { grant_type: device })
  await polls('device: asks', codes.device_code)
  await polls('device: asks again at once', codes.device_code)
  await polls('device: asks with an unknown code', 'nonsense')
  await polls('device: asks without a code', undefined)
  await polls('device: another client asks', codes.device_code, 'other')
  looked('device: the page', await new Person(server).go(codes.verification_uri))
  looked('device: its user types what is no code', await ann.send(await ann.go(codes.verification_uri), { user_code: 'nonsense' }))
  const typed = await ann.send(await ann.go(codes.verification_uri), { user_code: codes.user_code.toLowerCase() })
  looked('device: its user types the code in small letters', typed)
  looked('device: its user agrees', await act.connect(ann, typed))
  await new Promise((resolve) => setTimeout(resolve, 11_000)) // `slow_down` was told once: five seconds and five more
  await polls('device: asks once it is allowed', codes.device_code)
  await polls('device: asks once more', codes.device_code)
  const denied = await begins(null, 'shop', { scope: 'openid' })
  looked('device: its user does not agree', await act.disconnect(ann, await ann.send(await ann.go(denied.verification_uri), { user_code: denied.user_code })))
  await polls('device: asks once it is denied', denied.device_code)

  // --- log-out ------------------------------------------------------------------------------------------------------------
  const hint = (await token(null, 'shop', redeems(bobs))).id_token
  const bye = 'https://shop.example/bye'
  const leaves = (more) => bob.go(`${at('end_session')}?${new URLSearchParams(more)}`)
  looked('log-out', await leaves({}))
  looked('log-out: unknown redirect URI', await leaves({ id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/bye' }))
  looked('log-out: redirect URI of nobody', await leaves({ post_logout_redirect_uri: bye }))
  looked('log-out: a hint that is no token', await leaves({ id_token_hint: 'x', post_logout_redirect_uri: bye }))
  looked('log-out: a hint of another client', await leaves({ id_token_hint: hint, client_id: 'other' }))
  looked('log-out: unknown client', await leaves({ client_id: 'nobody', post_logout_redirect_uri: bye }))
  const question = await leaves({ client_id: 'shop', post_logout_redirect_uri: bye })
  looked('log-out: without a hint', question)
  looked('log-out: the user stays', await act.stay(bob, question))
  await goes('logged in still: prompt none', bob, { prompt: 'none' })
  let ended = await leaves({ id_token_hint: hint, post_logout_redirect_uri: bye, state: 's 1' })
  looked('log-out: with a hint', ended)
  if (ended.page) ended = await act.logOut(bob, ended)
  looked('logged out', ended)
  await goes('logged out: prompt none', bob, { prompt: 'none' })

  // --- metadata and keys --------------------------------------------------------------------------------------------------
  await ask('metadata', `${server}/.well-known/openid-configuration`)
  await ask('metadata of OAuth', `${server}/.well-known/oauth-authorization-server`)
  const set = await ask('keys', metadata.jwks_uri)
  note(server, 'keys', 'members of a key', Object.keys(set.keys[0]).sort().join(' '))
  await ask('keys for a script of another origin', metadata.jwks_uri, { headers: elsewhere })
  await ask('metadata for a script of another origin', `${server}/.well-known/openid-configuration`, { headers: elsewhere })
  await ask('keys by POST', metadata.jwks_uri, { method: 'POST' })
}

await Promise.all([story(ours), story(theirs)])

// --- what differs -------------------------------------------------------------------------------------------------------------

/// Of two lists, what is in one alone.
function only(here, there) {
  const [one, other] = [here.split(' '), there.split(' ')]
  return [one.filter((name) => !other.includes(name)), other.filter((name) => !one.includes(name))].map((names) => names.join(' ') || 'none more')
}
const found = [] // request, and what differs: aspect, here, there
for (const [request, aspects] of observed) {
  const { [ours]: mine, [theirs]: others } = aspects.get('answer')
  for (const [aspect, { [ours]: here, [theirs]: there }] of aspects) {
    if (aspect !== 'answer' && mine !== others) continue // another answer has other members and headers
    console.log(`${here === there ? ' ' : '*'} ${request} | ${aspect} | ${here} | ${there}`)
    if (here !== there) found.push([request, [aspect, ...(aspect.startsWith('members') ? only(here, there) : [here, there])].join(' | ')])
  }
}

/// The table in the documentation: a row is for one request, or for several with `;` between them.
const section = readFileSync(page, 'utf8').split('\n## ').find((text) => text.startsWith('Beside oidc-provider\n')) ?? ''
const judged = new Set()
for (const line of section.split('\n').filter((line) => line.startsWith('| '))) {
  const [requests, aspect, here, there, why] = line.slice(2, -2).split(' | ')
  if (why) for (const request of requests.split('; ')) judged.add([request, aspect, here, there].join(' | ').replaceAll('`', ''))
}
judged.delete('request | of which | here | there')
const differs = new Set(found.map((difference) => difference.join(' | ')))
const unjudged = found.filter((difference) => !judged.has(difference.join(' | ')))
const gone = [...judged].filter((difference) => !differs.has(difference))
const rows = new Map()
for (const [request, difference] of unjudged) rows.set(difference, [...(rows.get(difference) ?? []), request])
for (const [difference, requests] of rows) console.error(`NOT JUDGED in docs/conformance.md:\n| ${requests.join('; ')} | ${difference} | ? |`)
for (const difference of gone) console.error(`NO LONGER SO, in docs/conformance.md: ${difference}`)
console.log(`\n${observed.size} requests, ${found.length} differences`)
if (unjudged.length + gone.length > 0) process.exit(1)
