"""Every page, light and dark, on a desk and on a telephone: a picture of each, and what axe-core finds on it."""

import json

from browser import run

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

GUEST = [
    ("login", "/auth/login?next=/app/x"),
    ("login-notice", "/auth/login?done=password-reset"),
    ("register", "/auth/register"),
    ("forgot-password", "/auth/forgot-password"),
    ("verify", "/auth/verify"),
    ("link-invalid", "/auth/reset-password"),
    ("reset-password", "/auth/reset-password?token=" + "A" * 43),
    ("confirm", "/auth/verify?token=" + "A" * 43),
    ("not-found", "/auth/nothing"),
    ("echo", "/echo"),
]

MEMBER = [
    ("account", "/auth/account?done=profile-saved"),
    ("account-email", "/auth/account/email"),
    ("account-password", "/auth/account/password"),
    ("account-delete", "/auth/account/delete"),
    ("admin-users", "/auth/admin/users"),
    ("admin-users-none", "/auth/admin/users?search=zzz"),
    ("admin-user-new", "/auth/admin/users/new"),
    ("admin-user", "/auth/admin/users/{alice}"),
    ("admin-user-delete", "/auth/admin/users/{alice}/delete"),
    ("admin-invitations", "/auth/admin/invitations"),
    ("admin-sessions", "/auth/admin/sessions"),
    ("admin-roles", "/auth/admin/roles"),
    ("admin-role-new", "/auth/admin/roles/new"),
    ("admin-permissions", "/auth/admin/permissions"),
    ("admin-policy", "/auth/admin/policy?method=GET&path=%2Fapp%2Fx&as=alice"),
]


class Gallery:
    def __init__(self, rig):
        self.rig, self.found = rig, []

    def look(self, person, name, label):
        name = f"{label}-{name}"
        page = person.page
        person.shot(name)
        # Nothing may stick out sideways: a page is read by scrolling one way (WCAG 1.4.10).
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            self.found.append(f"{name}: {wide} pixels stick out")
        headings = page.locator("h1").count()
        if headings != 1:
            self.found.append(f"{name}: {headings} headings of the first order")
        page.evaluate(self.rig.axe)
        options = json.dumps({"runOnly": {"type": "tag", "values": WCAG}})
        result = page.evaluate(f"axe.run(document, {options})")
        assert len(result["passes"]) > 10, f"axe looked at next to nothing on {name}"
        for it in result["violations"]:
            nodes = "; ".join(node["html"][:160] + " " + node["failureSummary"][:300] for node in it["nodes"][:3])
            self.found.append(f"{name}: {it['id']} ({it['help']}): {nodes}")


def tour(gallery, person, pages, label, numbers):
    for name, path in pages:
        answer = person.goto(path.format(**numbers))
        assert answer.status < 500, f"{name}: {answer.status}"
        gallery.look(person, name, label)


def all_pages(rig, browser, arguments):
    gallery = Gallery(rig)
    for scheme in ["light", "dark"]:
        for width in [1280, 320]:
            label = f"{scheme}-{width}"
            guest = rig.person(browser, "guest", True, width, scheme)
            tour(gallery, guest, GUEST, label, {})
            wrong_answers(gallery, guest, label)
            guest.close()
            root = rig.person(browser, "root", True, width, scheme)
            root.log_in("super", arguments["password"])
            tour(gallery, root, MEMBER, label, {"alice": arguments["alice_id"]})
            slips(gallery, root, label)
            root.close()
    assert not gallery.found, "\n".join(gallery.found)


def wrong_answers(gallery, guest, label):
    guest.goto("/auth/login")
    guest.fill(username="alice", password="wrong")
    guest.press("Sign in")
    gallery.look(guest, "login-wrong", label)
    guest.goto("/auth/register")
    guest.fill(email="x@example.test", username="alice", password="short")
    guest.press("Create the account")
    gallery.look(guest, "register-wrong", label)


def slips(gallery, root, label):
    root.goto("/auth/account/password")
    root.fill(current_password="wrong", password="short")
    root.press("Change the password")
    gallery.look(root, "account-password-wrong", label)
    root.goto("/auth/admin/users/new")
    root.fill(username="alice", password="x")
    root.press("Add the user")
    gallery.look(root, "admin-user-new-wrong", label)


def documents_are_tried(rig, browser, arguments):
    """The page that shows the API: it reads and writes as whoever is signed in, and axe finds nothing on it."""
    gallery = Gallery(rig)
    for scheme in ["light", "dark"]:
        for width in [1280, 320]:
            root = rig.person(browser, "root", True, width, scheme)
            root.goto("/auth/login?next=/auth/docs")
            root.fill(username="super", password=arguments["password"])
            root.press("Sign in")
            root.at("/auth/docs")
            assert "super" in operation(root, "me", {}, 200)
            name = f"tried-{scheme}-{width}"
            made = operation(root, "create_role", {"body": json.dumps({"name": name})}, 201)
            number = json.loads(made.split("\n", 1)[1])["id"]
            assert name in operation(root, "get_role", {"id": str(number)}, 200)
            gallery.look(root, "docs", f"{scheme}-{width}")
            # What a script may not do, the browser writes down.
            assert not root.errors, root.errors
            root.close()
    guest = rig.person(browser, "guest", True)
    guest.goto("/auth/docs")
    operation(guest, "me", {}, 401)
    guest.close()
    assert not gallery.found, "\n".join(gallery.found)


def operation(person, name, fields, status):
    """Tries an operation on the page; what it answered."""
    api = person.page.evaluate("fetch('openapi.json').then((it) => it.json())")
    path, method = next(
        (path, method) for path, item in api["paths"].items() for method, it in item.items()
        if isinstance(it, dict) and it.get("operationId") == name
    )
    head = person.page.locator("summary").filter(has=person.page.locator(f"b:text-is('{method}')"))
    # The path is the text behind the method; the summary follows in an element of its own.
    shown = [it for it in head.all() if it.evaluate("it => it.childNodes[1].textContent") == path]
    assert len(shown) == 1, f"{method} {path} is there {len(shown)} times"
    shown[0].click()
    form = shown[0].locator("xpath=..").locator("form")
    for field, value in fields.items():
        form.locator(f"#{name}-{field}").fill(value)
    with person.page.expect_response(lambda it: it.request.method == method.upper()) as answer:
        form.get_by_role("button", name="Send").click()
    assert answer.value.status == status, f"{name}: {answer.value.status} {answer.value.text()}"
    output = form.locator("pre")
    output.filter(has_text=str(status)).wait_for()
    return output.inner_text()


HOSTILE = [
    "<script>window.hit=1</script>",
    "\"><script>window.hit=1</script>",
    "'><img src=x onerror=window.hit=1>",
    "\" autofocus onfocus=\"window.hit=1",
    "</title><svg onload=window.hit=1>",
    "javascript:window.hit=1",
    "{{7*7}}{% raw %}",
    "</p><form action=//evil.test><input name=password>",
    "&#60;script&#62;window.hit=1&#60;/script&#62;",
    "\u202e\u2066<b>x</b>",
]


def hostile_texts(rig, browser, arguments):
    """X-02 and X-03: whatever somebody put into an address, a name or a header, nothing of it runs."""
    from urllib.parse import quote

    root = rig.person(browser, "root", javascript=True)
    root.log_in("super", arguments["password"])
    guest = rig.person(browser, "guest", javascript=True)
    for text in HOSTILE:
        it = quote(text, safe="")
        for path in [f"login?next={it}", f"login?next=/{it}", f"login?error={it}&done={it}", f"verify?token={it}",
                     f"reset-password?token={it}", f"register?token={it}", f"{it}", f"account/{it}"]:
            inert(guest, f"/auth/{path}", text)
        for path in [f"admin/users?search={it}", f"admin/users?page={it}", f"admin/users/{it}", f"admin/roles/{it}",
                     f"admin/policy?path=/{it}&as={it}&ip={it}&host={it}&method={it}", f"admin/sessions?page={it}",
                     f"account?done={it}", f"account/password?next={it}"]:
            inert(root, f"/auth/{path}", text)
        stored(rig, browser, root, arguments, text)
    for person in [root, guest]:
        dialogs = [error for error in person.errors if error.startswith("dialog")]
        assert not dialogs, dialogs
        person.close()


def inert(person, path, text):
    answer = person.goto(path)
    assert answer.status < 500, f"{answer.status} at {path}"
    nothing_ran(person, text)


def nothing_ran(person, text):
    assert person.page.evaluate("window.hit") is None, f"{text!r} ran at {person.path()}"
    assert person.page.locator("script, main img, main svg, form[action*=evil]").count() == 0, person.path()
    assert ">49<" not in person.page.content()


def stored(rig, browser, root, arguments, text):
    """In the description of a permission, in the name of a user where it may stand, and in that of a browser."""
    root.goto("/auth/admin/permissions")
    root.page.locator("main [name=name]").fill(f"x:y{HOSTILE.index(text)}")
    root.page.locator("main [name=description]").fill(text)
    root.press("Add the permission")
    nothing_ran(root, text)
    root.goto("/auth/admin/roles/new")
    nothing_ran(root, text)
    root.goto("/auth/admin/users/new")
    root.fill(username=text, password="a long enough password")
    root.press("Add the user")
    nothing_ran(root, text)
    agent = "".join(letter for letter in text if ord(letter) < 127)
    context = browser.new_context(base_url=rig.base, user_agent=agent)
    page = context.new_page()
    page.goto("/auth/login")
    page.locator("[name=username]").fill("alice")
    page.locator("[name=password]").fill(arguments["alice"])
    with page.expect_navigation():
        page.locator("main button").click()
    page.goto("/auth/account")
    assert page.evaluate("window.hit") is None, text
    assert page.locator("script, main img, main svg").count() == 0, text
    root.goto("/auth/admin/sessions")
    nothing_ran(root, text)
    root.goto(f"/auth/admin/users/{arguments['alice_id']}")
    nothing_ran(root, text)
    context.close()


def forged_requests(rig, browser, arguments):
    """C-14 and AD-08: another site can make a browser send a form, but not one of ours; and it can frame nothing."""
    root = rig.person(browser, "root", javascript=True)
    root.log_in("super", arguments["password"])
    root.goto("/auth/account")
    port = arguments["evil"].rsplit(":", 1)[1].strip("/")
    targets = [
        ("/auth/logout", {}),
        ("/auth/login", {"username": "alice", "password": arguments["alice"]}),
        ("/auth/account/profile", {"username": "hacked"}),
        ("/auth/account/password", {"current_password": arguments["password"], "password": "a password of mine"}),
        ("/auth/account/delete", {"current_password": arguments["password"]}),
        ("/auth/account/sessions/end-others", {}),
        ("/auth/admin/users/new", {"username": "mallory", "password": "a password of mine"}),
        (f"/auth/admin/users/{arguments['alice_id']}/delete", {}),
        (f"/auth/admin/users/{arguments['alice_id']}/roles", {"roles": "admin"}),
        ("/auth/admin/invitations", {"email": "m@example.test", "roles": "admin"}),
        ("/auth/admin/roles/new", {"name": "mallory"}),
        ("/auth/register", {"email": "m@example.test", "username": "mallory", "password": "a password of mine"}),
        ("/auth/forgot-password", {"email": "alice@example.test"}),
        ("/auth/reset-password", {"password": "a password of mine"}),
        ("/auth/verify", {"email": "alice@example.test"}),
    ]
    # Another host, whose forms come without our cookies; and another port, whose forms come with them.
    for evil in [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]:
        for path, fields in targets:
            for kind in ["application/x-www-form-urlencoded", "text/plain"]:
                root.goto(f"{evil}/public/x")
                with root.page.expect_navigation() as navigation:
                    root.page.evaluate(FORGE, [rig.base + path, fields, kind])
                status = navigation.value.status
                led_to_login = "127" in evil and root.path() == "/auth/login" and status == 200
                assert led_to_login or status in (403, 415, 422), f"{path} as {kind} from {evil}: {status}"
    root.goto(f"{evil}/public/x")
    root.page.evaluate("url => { const it = document.createElement('iframe'); it.src = url; document.body.append(it); }", rig.base + "/auth/login")
    frame = root.page.wait_for_selector("iframe").content_frame()
    assert frame.locator("[name=password]").count() == 0, "the login page can be framed"
    # Nothing happened: still signed in, under the same name, and nobody came or went.
    root.goto("/auth/account")
    assert root.page.locator("[name=username]").input_value() == "super"
    root.goto("/auth/admin/users")
    names = root.page.locator("tbody th a").all_inner_texts()
    assert "alice" in names and "mallory" not in names, names
    # The twin: a form of our own, sent from our own page.
    root.goto("/auth/account")
    root.press("Save")
    root.sees("Your profile was saved.")
    root.close()


FORGE = """([action, fields, kind]) => {
  const form = document.createElement('form');
  Object.assign(form, { action, method: 'POST', enctype: kind });
  for (const [name, value] of Object.entries(fields)) {
    const input = document.createElement('input');
    Object.assign(input, { name, value, type: 'hidden' });
    form.append(input);
  }
  document.body.append(form);
  form.submit();
}"""


run({it.__name__: it for it in [all_pages, documents_are_tried, hostile_texts, forged_requests]})
