// Somebody at a browser without JavaScript: keeps cookies, follows redirections within the server, fills in the forms of its pages.
import assert from 'node:assert/strict'

const entities = { amp: '&', lt: '<', gt: '>', quot: '"' }
const plain = (html) =>
  html.replace(/&(#x?[0-9a-f]+|\w+);/gi, (_, name) =>
    name[0] === '#' ? String.fromCodePoint(Number(name.slice(1).replace(/^x/i, '0x'))) : entities[name])
const attribute = (tag, name) => plain(tag.match(new RegExp(` ${name}="([^"]*)"`))?.[1] ?? '')

export class Person {
  cookies = {}

  constructor(server) {
    this.server = server
  }

  /// Where the browser ends: `url`, and of a page of the server `page`; `status` and `headers` of the server's last answer.
  async go(url, form) {
    url = new URL(url)
    let last = {}
    while (url.origin === this.server) {
      const answer = await fetch(url, {
        redirect: 'manual',
        method: form ? 'POST' : 'GET',
        body: form && new URLSearchParams(form),
        headers: { cookie: Object.entries(this.cookies).map(([name, value]) => `${name}=${value}`).join('; ') },
      })
      for (const cookie of answer.headers.getSetCookie()) {
        const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/)
        this.cookies[name] = value
      }
      last = { status: answer.status, headers: answer.headers }
      const to = answer.headers.get('location')
      if (to === null) return { url, ...last, page: await answer.text() }
      url = new URL(to, url)
      form = undefined
    }
    return { url, ...last }
  }

  /// Sends the form of the page with what the person typed, and what stands in its hidden fields.
  async send({ url, page }, typed) {
    assert.match(page, /<form/, `no form on ${page}`)
    const hidden = [...page.matchAll(/<input type="hidden"[^>]*>/g)].map(([tag]) => [attribute(tag, 'name'), attribute(tag, 'value')])
    return this.go(new URL(attribute(page.match(/<form[^>]*>/)[0], 'action'), url), { ...Object.fromEntries(hidden), ...typed })
  }

  async logIn(page, username, password) {
    assert.match(page.page ?? '', /type="password"/, 'the log-in page')
    return this.send(page, { username, password })
  }

  /// Agrees to everything that the page asks for.
  async allow(page) {
    assert.match(page.page ?? '', /value="allow"/, 'a page that asks')
    const boxes = [...page.page.matchAll(/<input type="checkbox"[^>]*>/g)].map(([tag]) => tag).filter((tag) => !/ disabled/.test(tag))
    return this.send(page, { ...Object.fromEntries(boxes.map((tag) => [attribute(tag, 'name'), attribute(tag, 'value')])), decision: 'allow' })
  }
}
