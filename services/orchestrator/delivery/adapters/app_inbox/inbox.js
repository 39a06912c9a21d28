// tactfulInbox(element, {url, token, words}): an inbox for your page, yours to change (docs/inbox.md)
var tactfulInbox = (host, {url = "", token, words}) => {
const w = {inbox: "Inbox", unread: "unread", none: "No messages", archive: "Archive", all: "Mark all as read",
  failed: "Not connected", ...words}
const sheet = new CSSStyleSheet()
sheet.replaceSync(`
:host{--a:var(--tactful-accent,#1d4ed8);--b:#fff;--f:#1b1c1f;--l:#d5d7dd;
position:relative;display:inline-block;font:15px/1.45 system-ui,sans-serif}
@media(prefers-color-scheme:dark){:host{--a:var(--tactful-accent,#9dbcff);--b:#1d1e22;--f:#eeeef1;--l:#44464d}}
button{font:inherit;color:var(--a);background:none;border:0;padding:8px;min-height:44px;cursor:pointer}
.o,section{background:var(--b);color:var(--f);border:1px solid var(--l);border-radius:8px}
.o bdi{color:var(--a)}
section{position:absolute;z-index:99;top:calc(100% + 8px);inset-inline-end:0;width:400px;max-height:75vh;overflow:auto}
@media(max-width:480px){section{position:fixed;inset:auto 8px 8px;width:auto}}
div{display:flex;justify-content:space-between;align-items:center}
p{margin:0;white-space:pre-line}
.h,li,.e:not(:empty){padding:8px 8px 4px 16px;border-bottom:1px solid var(--l)}
h2{font-size:17px}ul{margin:0;padding:0}
li{list-style:none;overflow-wrap:anywhere;hyphens:auto}
.u{border-inline-start:4px solid var(--a)}.u .t{font-weight:650}
.t{display:block;width:100%;padding:0;min-height:24px;text-align:start;color:var(--f)}a.t{color:var(--a)}
time,.e{opacity:.8;font-size:13px}
.v{position:fixed;clip-path:inset(50%)}`)
let bearer, last, loaded, wait = 1e3
const el = (tag, props, ...children) => {
  const made = Object.assign(document.createElement(tag), props)
  made.append(...children)
  return made
}
const ask = async (path, options, headers) => {
  for (let again = 0; ; again++) {
    bearer ??= await token()
    const answer = await fetch(`${url}/v1/inbox${path}`, {...options, headers: {...headers, Authorization: "Bearer " + bearer}})
    if (answer.ok) return answer
    if (answer.status != 401 || again) throw answer
    bearer = null
  }
}
const fail = () => note.textContent = w.failed
const show = ({unread}) => {
  count.textContent = unread || ""
  button.ariaLabel = w.inbox + (unread ? `, ${unread} ${w.unread}` : "")
  all.hidden = !unread || !list.firstChild
  note.textContent = list.firstChild ? "" : w.none
}
// The stream is newer than answers
const post = (path, body) => ask(path, {method: "POST", keepalive: true, body}, {"Content-Type": "application/json"})
  .catch(fail)
const toggle = () => button.ariaExpanded = !(panel.hidden = !panel.hidden)
const count = el("bdi"), list = el("ul"), news = el("p", {className: "v", role: "status"})
const button = el("button", {className: "o", ariaExpanded: false, onclick: toggle}, w.inbox, " ", count)
const title = el("h2", {tabIndex: -1}, w.inbox), note = el("p", {className: "e"})
const all = el("button", {onclick: () => post("/read-all?until=" + list.firstChild.id)}, w.all)
const panel = el("section", {hidden: true, ariaLabel: w.inbox}, el("div", {className: "h"}, title, all), note, list)
const root = host.attachShadow({mode: "open"})
// A message counts as seen once half of it has been visible in the open panel.
const eye = new IntersectionObserver(entries => {
  const ids = entries.filter(each => each.isIntersecting).map(({target}) => (eye.unobserve(target), target.id))
  ids[0] && post("/seen", JSON.stringify({ids}))
}, {threshold: .5})
const draw = (m, isNew) => {
  let item = root.getElementById(m.id)
  if (m.archived) return item && (item.contains(root.activeElement) && title.focus(), item.remove())
  if (!item) {
    if (isNew && m.read) return
    const act = kind => () => post(`/messages/${m.id}/${kind}`), text = {lang: m.locale ?? "", dir: "auto"}
    const link = /^(https:|\/)/.test(m.link) && {href: m.link}
    item = el("li", {id: m.id}, el("span", {className: "v"}),
      el(link ? "a" : "button", {className: "t", onclick: act(link ? "click" : "read"), ...link, ...text}, m.title),
      el("p", text, m.body),
      el("div", {}, el("time", {dir: "auto"}, new Date(m.at).toLocaleString()),
        el("button", {ariaLabel: `${w.archive}: ${m.title}`, onclick: act("archive")}, w.archive)))
    list[isNew ? "prepend" : "append"](item)
    if (isNew) news.textContent = `${w.inbox}: ${m.title}`
    if (!m.seen) eye.observe(item)
  }
  item.className = m.read ? "" : "u"
  item.firstChild.textContent = m.read ? "" : w.unread
}
const take = async text => {
  const {id, event, data} = Object.fromEntries(text.split("\n").map(line => line.split(/: (.*)/s)))
  if (!data) return
  let now = JSON.parse(data)
  if (!loaded || event == "reset") {
    loaded = now = await (await ask("/messages?limit=50")).json()
    list.replaceChildren()
    now.items.forEach(m => draw(m))
  } else if (now.message) draw(now.message, true)
  show(now)
  last = id ?? last
}
// A hidden page holds no connection
const change = () => new Promise(done => document.addEventListener("visibilitychange", done, {once: true}))
const listen = async () => {
  while (true) {
    if (document.hidden) await change()
    try {
      const stop = new AbortController()
      change().then(() => stop.abort())
      const stream = await ask("/stream", {signal: stop.signal}, last && {"Last-Event-ID": last})
      const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader()
      wait = 1e3
      for (let text = "", part; !(part = await reader.read()).done;) {
        const events = (text + part.value).split("\n\n")
        text = events.pop()
        for (const each of events) await take(each)
      }
    } catch { document.hidden || fail() }
    await new Promise(done => setTimeout(done, wait * (1 + Math.random())))
    wait = Math.min(wait * 2, 6e4)
  }
}
root.adoptedStyleSheets = [sheet]
root.append(button, panel, news)
host.onkeydown = event => { event.key == "Escape" && !panel.hidden && (toggle(), button.focus()) }
show({})
listen()
}
