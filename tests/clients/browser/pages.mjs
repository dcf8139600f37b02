import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { chromium } from 'playwright-core'

const [issuer, password, scope, screenshots, executablePath] = process.argv.slice(2)
const say = (text) => console.log(`\n== ${text}`)
const long = scope.split(' ').at(-1)

// The application: where the browser is sent back to, and, at /frame, a site that puts the log-in page into a frame of its own.
let framed = ''
const application = createServer((request, answer) => {
  answer.setHeader('content-type', 'text/html')
  answer.end(request.url === '/frame' ? `<iframe src="${framed}"></iframe>` : '<title>The application</title>')
}).listen(0, '127.0.0.1')
await once(application, 'listening')
const redirect = `http://127.0.0.1:${application.address().port}/cb` // registered with another port (RFC 8252, section 7.3)

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })

/// A browser of its own. What it complains about, a style that its policy forbids, say, stands in `complaints`.
const complaints = []
const expected = /^Failed to (load resource|launch)/ // an answer that is an error; an application that is not installed
const listen = (page) => page.on('console', (message) => expected.test(message.text()) || complaints.push(message.text()))
async function newPage() {
  const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 1024, height: 768 } })
  return listen(await context.newPage())
}

const verifier = randomBytes(32).toString('base64url')
const asks = (parameters, server = issuer) =>
  `${server}/api/oauth/authorize?${new URLSearchParams({
    response_type: 'code',
    client_id: 'shop',
    redirect_uri: redirect,
    scope,
    state: 'a state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...parameters,
  })}`

/// What Chromium tells a screen reader: each node's role, name and properties.
async function told(page) {
  const session = await page.context().newCDPSession(page)
  const { nodes } = await session.send('Accessibility.getFullAXTree')
  await session.detach()
  return nodes
    .filter((node) => !node.ignored)
    .map(({ role, name, description, properties = [] }) => ({
      role: role.value,
      name: name?.value ?? '',
      description: description?.value ?? '',
      ...Object.fromEntries(properties.map((one) => [one.name, one.value.value])),
    }))
}

/// Expects a node of that role and name, and returns it.
function has(nodes, role, name) {
  const found = nodes.find((node) => node.role === role && node.name === name)
  assert.ok(found, `no ${role} "${name}" in ${JSON.stringify(nodes, null, 1)}`)
  return found
}

/// Waits until the focus is on that node (a page gives it when it is drawn), and returns it.
async function focused(page, role, name) {
  for (const deadline = Date.now() + 20_000; ; ) {
    const node = has(await told(page), role, name)
    if (node.focused) return node
    assert.ok(Date.now() < deadline, `the focus is not on ${role} "${name}"`)
  }
}

/// Within the page: how wide it is, and the text that has too little contrast (WCAG 2.2, 1.4.3), with its ratio.
function measure() {
  const luminance = (colour) => {
    const [red, green, blue] = colour.match(/[\d.]+/g).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const behind = (element) => {
    const colour = getComputedStyle(element).backgroundColor
    return colour === 'rgba(0, 0, 0, 0)' && element.parentElement ? behind(element.parentElement) : colour
  }
  const pale = []
  for (const element of document.querySelectorAll('main *')) {
    const [light, dark] = [luminance(getComputedStyle(element).color), luminance(behind(element))].sort((a, b) => b - a)
    if ((light + 0.05) / (dark + 0.05) < 4.5) pale.push(`${element.outerHTML} ${(light + 0.05) / (dark + 0.05)}`)
  }
  const small = [...document.querySelectorAll('button, input:not([type=hidden])')]
    .filter((element) => (element.closest('label') ?? element).getBoundingClientRect().height < 24)
    .map((element) => element.outerHTML)
  const { scrollWidth, clientWidth } = document.documentElement
  return { scrollWidth, clientWidth, pale, small, language: document.documentElement.lang, title: document.title }
}

/// Looks at the page, light and dark, on a telephone and on a large screen.
async function look(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    for (const [width, height] of [[360, 640], [3840, 2160]]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height })
      const seen = await page.evaluate(measure)
      const where = `${name}, ${colorScheme}, ${width} px wide`
      assert.ok(seen.scrollWidth <= seen.clientWidth, `${where}: ${seen.scrollWidth} > ${seen.clientWidth}`)
      assert.deepEqual(seen.pale, [], `${where}: too little contrast`)
      assert.deepEqual(seen.small, [], `${where}: too small to be touched (WCAG 2.2, 2.5.8)`)
      assert.equal(seen.language, 'en')
      assert.notEqual(seen.title, '')
      await page.screenshot({ path: `${screenshots}/${name}-${colorScheme}-${width}.png` })
    }
  }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1024, height: 768 })
}

/// Presses Tab until the focus is on what has that role and name.
async function tabTo(page, role, name) {
  for (let presses = 0; presses < 20; presses += 1) {
    if (has(await told(page), role, name).focused) return
    await page.keyboard.press('Tab')
  }
  assert.fail(`${role} "${name}" cannot be reached by Tab`)
}

/// Presses a key that sends the form, and waits for the page that it leads to.
const send = async (page, key) => {
  const next = page.waitForEvent('framenavigated')
  await page.keyboard.press(key)
  await next
  await page.waitForLoadState()
}

say('Log-in: what a screen reader is told, where the focus is')
const page = await newPage()
assert.equal((await page.goto(asks())).status(), 200)
let nodes = await told(page)
has(nodes, 'heading', 'Log in')
assert.ok(has(nodes, 'main', ''))
assert.ok((await focused(page, 'textbox', 'User name')).required)
assert.equal(await page.inputValue('#username'), '')
assert.ok(has(nodes, 'textbox', 'Password').required)
has(nodes, 'button', 'Log in')
await look(page, 'login')

say('A wrong password is told at once, and at its field')
await page.keyboard.type('ann')
await page.keyboard.press('Tab')
await page.keyboard.type('not that')
await send(page, 'Enter')
nodes = await told(page)
const alert = nodes.find(({ role }) => role === 'alert')
assert.ok(alert, 'role alert')
let field = await focused(page, 'textbox', 'Password') // the name is there
assert.ok(field.description, 'the field is described by what was wrong')
assert.equal(field.invalid, 'true')
assert.equal(await page.inputValue('#username'), 'ann')
await look(page, 'login-wrong')

say('Consent: a part of it, by Tab, Space and Enter')
await page.keyboard.type(password)
await send(page, 'Enter')
nodes = await told(page)
has(nodes, 'heading', 'Allow The Shop?')
for (const { role, name } of nodes) if (role === 'checkbox') assert.notEqual(name, '')
const boxes = nodes.filter(({ role }) => role === 'checkbox')
assert.equal(boxes.length, 4)
await look(page, 'consent')
const last = boxes.at(-1)
assert.equal(last.name, long)
await tabTo(page, 'checkbox', long)
await page.keyboard.press('Space')
assert.equal(has(await told(page), 'checkbox', long).checked, 'false')
await tabTo(page, 'button', 'Allow')
await send(page, 'Enter')
const back = new URL(page.url())
assert.equal(back.origin + back.pathname, redirect)
assert.deepEqual([back.searchParams.get('state'), back.searchParams.get('iss')], ['a state', issuer])
const tokens = await (await fetch(`${issuer}/api/oauth/token`, {
  method: 'POST',
  headers: { authorization: `Basic ${btoa(`shop:${process.env.SHOP_SECRET}`)}` },
  body: new URLSearchParams({ grant_type: 'authorization_code', code: back.searchParams.get('code'), redirect_uri: redirect, code_verifier: verifier }),
})).json()
assert.deepEqual(tokens.scope.split(' ').sort(), ['offline_access', 'openid', 'profile'])

say('Cookies: for this host alone, out of reach of scripts; a second request needs no page')
const cookies = await page.context().cookies(issuer)
assert.deepEqual(cookies.map(({ name }) => name).sort(), ['__Host-portcullis-form', '__Host-portcullis-session'])
for (const cookie of cookies) assert.deepEqual([cookie.secure, cookie.httpOnly, cookie.sameSite, cookie.path], [true, true, 'Lax', '/'])
await page.goto(asks({ scope: 'openid profile' }))
assert.ok(page.url().startsWith(`${redirect}?`), page.url())

say("Not allowed: an application's own scheme is told so")
const window = listen(await page.context().newPage()) // where Chromium asks what to open keeps the keyboard
await window.goto(asks({ client_id: 'app', redirect_uri: 'com.example.app:/done', scope: 'profile' }))
await tabTo(window, 'button', 'Do not allow')
const answered = window.waitForResponse((response) => response.status() === 303)
await window.keyboard.press('Space')
assert.match((await (await answered).allHeaders()).location, /^com\.example\.app:\/done\?error=access_denied/)
await window.close()

say('A code to be copied by hand')
await page.goto(asks({ client_id: 'tool', redirect_uri: 'urn:ietf:wg:oauth:2.0:oob', scope: 'profile' }))
await tabTo(page, 'button', 'Allow')
await send(page, 'Enter')
nodes = await told(page)
has(nodes, 'heading', 'Your code')
assert.ok(nodes.some(({ role, name }) => role === 'StaticText' && name.startsWith('pcc_')), 'the code')
await look(page, 'code')

say('A device: the code is typed, and what it may do is seen')
const device = await (await fetch(`${issuer}/api/oauth/device`, { method: 'POST', body: new URLSearchParams({ client_id: 'tv', scope: 'openid orders' }) })).json()
await page.goto(device.verification_uri)
nodes = await told(page)
has(nodes, 'heading', 'Connect a device')
assert.ok((await focused(page, 'textbox', 'Code')).required)
await look(page, 'device')
await page.keyboard.type('BBBB-BBBB')
await send(page, 'Enter')
nodes = await told(page)
assert.ok(nodes.some(({ role }) => role === 'alert'), 'role alert')
field = await focused(page, 'textbox', 'Code')
assert.ok(field.description)
assert.equal(field.invalid, 'true')
await look(page, 'device-wrong')
await page.keyboard.press('Control+A')
await page.keyboard.type(device.user_code.toLowerCase())
await send(page, 'Enter')
has(await told(page), 'heading', 'Allow The TV?')
await look(page, 'device-decide')
await tabTo(page, 'button', 'Allow')
await send(page, 'Space')
has(await told(page), 'heading', 'The device is connected')
await look(page, 'device-done')
const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
const redeemed = await fetch(`${issuer}/api/oauth/token`, { method: 'POST', body: new URLSearchParams({ grant_type, client_id: 'tv', device_code: device.device_code }) })
assert.equal(redeemed.status, 200)

say('What was granted, and taken back')
await page.goto(`${issuer}/api/oauth/granted`)
has(await told(page), 'heading', 'What you have allowed')
await look(page, 'granted')
await tabTo(page, 'button', 'Take it back from The Shop')
await send(page, 'Enter')
nodes = await told(page)
assert.ok(nodes.some(({ role }) => role === 'status'), 'role status')
assert.ok(!nodes.some(({ name }) => name === 'Take it back from The Shop'))
has(nodes, 'button', 'Take it back from The TV')
await look(page, 'granted-withdrawn')

say('An error that must not leave')
const wrong = await page.goto(asks({ redirect_uri: 'https://evil.example/cb' }))
assert.equal(wrong.status(), 400)
has(await told(page), 'heading', 'This does not work')
await look(page, 'error')

say('Log-out: asked, and either is done; then nobody is logged in')
const logout = `${issuer}/api/oauth/logout?client_id=shop`
await page.goto(logout)
nodes = await told(page)
has(nodes, 'heading', 'Log out?')
await look(page, 'logout')
await tabTo(page, 'button', 'Stay logged in')
await send(page, 'Enter')
has(await told(page), 'heading', 'You are still logged in')
await page.goto(asks({ client_id: 'tool', redirect_uri: 'urn:ietf:wg:oauth:2.0:oob', scope: 'profile', prompt: 'consent' }))
has(await told(page), 'heading', 'Allow A Tool?')
await page.goto(logout)
await tabTo(page, 'button', 'Log out')
await send(page, 'Space')
has(await told(page), 'heading', 'You are logged out')
await look(page, 'logged-out')
await page.goto(asks({ prompt: 'none' }))
assert.equal(new URL(page.url()).searchParams.get('error'), 'login_required')

say('At http://localhost, too, Chromium keeps the cookies')
const local = await newPage()
await local.goto(asks({}, issuer.replace('127.0.0.1', 'localhost')))
assert.deepEqual((await local.context().cookies()).map(({ name, domain }) => [name, domain]), [['__Host-portcullis-form', 'localhost']])

say('A name that the application knows is there already')
await local.goto(asks({ login_hint: 'ann' }))
await focused(local, 'textbox', 'Password')
assert.equal(await local.inputValue('#username'), 'ann')

say('No complaint so far; in a frame of another site nothing is shown, and the browser says why')
assert.deepEqual(complaints, [])
framed = asks()
await local.goto(new URL('/frame', redirect).href)
assert.ok(!(await local.frames()[1].content()).includes('User name'))
assert.match(complaints.join(), /frame-ancestors|X-Frame-Options/i)

await browser.close()
application.close()
application.closeAllConnections()
