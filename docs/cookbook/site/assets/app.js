// The application's own router reads the path: the gateway answers this page at all of them.
document.querySelector('h1').textContent = `Orders: ${location.pathname}`
