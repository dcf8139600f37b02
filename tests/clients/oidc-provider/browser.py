"""A browser, as far as it is needed here: cookies by host, redirections, forms."""
import re
import urllib.error
import urllib.parse
import urllib.request

jar = {}


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def call(url, form=None):
    """One request, with the cookies of its host."""
    cookies = jar.setdefault(urllib.parse.urlsplit(url).netloc, {})
    request = urllib.request.Request(url, data=form and urllib.parse.urlencode(form).encode())
    if cookies:
        request.add_header("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()))
    try:
        answer = urllib.request.build_opener(Stay).open(request)
    except urllib.error.HTTPError as error:
        answer = error
    for cookie in answer.headers.get_all("Set-Cookie") or []:
        name, value = cookie.split(";")[0].split("=", 1)
        cookies[name] = value
    return answer.status, answer.headers.get("Location"), answer.read().decode()


def follow(url, form=None, until=None):
    """As a browser does, to where no redirection leads further, or to an address that begins so."""
    while True:
        if until and url.startswith(until):
            return None, url, ""
        status, location, body = call(url, form)
        if location is None:
            return status, url, body
        url, form = urllib.parse.urljoin(url, location), None


def action(page):
    return re.search(r'action="([^"]+)"', page)[1]
