import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const [issuer, password, app, evil, upstreamPort, script, executablePath] = process.argv.slice(2)
const say = (text) => console.log(`\n== ${text}`)

// The service behind the gateway: what it was sent, and events with a pause between them that only the test ends.
const seen = []
let goOn
const upstream = createServer((request, answer) => {
  let body = ''
  request.on('data', (data) => (body += data))
  request.on('end', () => {
    seen.push(`${request.method} ${request.url}`)
    if (request.url.startsWith('/orders/events')) {
      answer.writeHead(200, { 'content-type': 'text/event-stream' })
      answer.write('data: one\n\n')
      goOn = () => answer.end('data: two\n\n')
      return
    }
    answer.writeHead(200, { 'content-type': 'application/json', 'x-total': '1', 'x-secret': '2', 'access-control-allow-origin': '*' })
    answer.end(JSON.stringify({ method: request.method, type: request.headers['content-type'], body, filler: 'again and again '.repeat(20) }))
  })
}).listen(Number(upstreamPort), '127.0.0.1')
await once(upstream, 'listening')

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const page = await (await browser.newContext()).newPage()

say('The application comes out of the folder, compressed, at whatever path')
const scripts = []
page.on('response', (answer) => answer.url().endsWith('.js') && scripts.push(answer.headers()['content-encoding']))
await page.goto(`${app}/page/of/last/week`)
await page.waitForFunction(() => document.title === 'version 1')
assert.deepEqual(scripts, ['zstd'])

say('It learns where everything is, and sends ann away to log in')
const metadata = await page.evaluate((url) => fetch(url).then((answer) => answer.json()), `${issuer}/.well-known/openid-configuration`)
assert.equal(metadata.issuer, issuer)
const verifier = randomBytes(32).toString('base64url')
const asks = new URLSearchParams({
  response_type: 'code', client_id: 'app', redirect_uri: `${app}/`, scope: 'openid profile orders', state: 'a state',
  code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
})
await page.goto(`${metadata.authorization_endpoint}?${asks}`)
await page.fill('input[name=username]', 'ann')
await page.fill('input[name=password]', password)
await page.keyboard.press('Enter')
await page.click('button[value=allow]')
await page.waitForURL(`${app}/?*`)
const code = new URL(page.url()).searchParams.get('code')

/// Within the page: what a fetch comes to; a browser that keeps an answer from the page says no more than `TypeError`.
const ask = (of, url, options = {}) =>
  of.evaluate(
    async ([url, options]) => {
      try {
        const answer = await fetch(url, options)
        return { status: answer.status, total: answer.headers.get('x-total'), secret: answer.headers.get('x-secret'), text: await answer.text() }
      } catch (error) {
        return error.name
      }
    },
    [url, options],
  )
const form = (fields) => ({ method: 'POST', body: new URLSearchParams(fields).toString(), headers: { 'content-type': 'application/x-www-form-urlencoded' } })

say('Its page redeems the code at another origin, and reads a refusal')
const refused = await ask(page, metadata.token_endpoint, form({ grant_type: 'authorization_code', client_id: 'app', code: 'pcc_none', redirect_uri: `${app}/`, code_verifier: verifier }))
assert.deepEqual([refused.status, JSON.parse(refused.text).error], [400, 'invalid_grant'])
const redeemed = await ask(page, metadata.token_endpoint, form({ grant_type: 'authorization_code', client_id: 'app', code, redirect_uri: `${app}/`, code_verifier: verifier }))
assert.equal(redeemed.status, 200, redeemed.text)
const token = JSON.parse(redeemed.text).access_token

say('UserInfo (with a preflight, for `Authorization`) and the keys')
const authorization = { authorization: `Bearer ${token}` }
assert.equal(JSON.parse((await ask(page, metadata.userinfo_endpoint, { headers: authorization })).text).sub, 'ann')
assert.equal(JSON.parse((await ask(page, metadata.jwks_uri)).text).keys.length, 1)

say('The API: a preflight for the method and the headers, the answer compressed, and of its headers those that are exposed')
const put = await ask(page, `${issuer}/orders/7`, { method: 'PUT', body: '{}', headers: { ...authorization, 'content-type': 'application/json' } })
assert.deepEqual([put.status, put.total, put.secret], [200, '1', null])
assert.deepEqual([JSON.parse(put.text).method, JSON.parse(put.text).type, JSON.parse(put.text).body], ['PUT', 'application/json', '{}'])
assert.equal((await ask(page, `${issuer}/orders/7`)).status, 401, 'a refusal is read, too')
assert.equal(await ask(page, `${issuer}/orders/7`, { headers: { ...authorization, 'x-other': '1' } }), 'TypeError', 'a header that is not allowed')
assert.equal(await ask(page, `${issuer}/orders/7`, { method: 'DELETE', headers: authorization }), 'TypeError', 'a method that the route has not')
assert.equal(await ask(page, `${issuer}/orders/7`, { headers: authorization, credentials: 'include' }), 'TypeError', 'cookies are for nobody')
assert.deepEqual(seen, ['PUT /orders/7'])

say('Events arrive when they are sent, compressed as they are')
const events = await page.evaluateHandle(async ([url, headers]) => {
  const answer = await fetch(url, { headers })
  return answer.body.pipeThrough(new TextDecoderStream()).getReader()
}, [`${issuer}/orders/events`, authorization])
const next = () => events.evaluate((reader) => reader.read().then(({ value }) => value))
assert.equal(await next(), 'data: one\n\n')
goOn()
assert.equal(await next(), 'data: two\n\n')

say('A page of another site, in the same browser, with the token even')
const other = await page.context().newPage()
await other.goto(`${evil}/`)
seen.length = 0
assert.equal(await ask(other, `${issuer}/orders/7`, { headers: authorization }), 'TypeError')
assert.equal(await ask(other, `${issuer}/orders/7`, { method: 'PUT', body: 'x' }), 'TypeError')
assert.equal((await ask(other, `${issuer}/orders/7`, { mode: 'no-cors' })).status, 0)
assert.deepEqual(seen, [], 'nothing came to the service')
assert.equal(await ask(other, `${metadata.authorization_endpoint}?${asks}`, { credentials: 'include' }), 'TypeError', 'the log-in page is read by nobody')

say('A file that changed is taken up')
writeFileSync(script, 'document.title = "version 2"')
await page.goto(`${app}/elsewhere`)
await page.waitForFunction(() => document.title === 'version 2')
await browser.close()
upstream.close()
