"""A page with a WebSocket and an event stream, behind the login; and a page of another site that would like to have them."""

import re

from browser import run

TRY = """address => new Promise(done => {
    const socket = new WebSocket(address);
    socket.onmessage = it => done("message " + it.data);
    socket.onclose = it => done("closed " + it.code);
})"""


def chats_and_is_overheard_by_nobody(rig, browser, arguments):
    alice = rig.person(browser, "alice", javascript=True)
    alice.goto("/app/")
    alice.at("/auth/login")
    alice.fill(username="alice", password=arguments["alice"])
    alice.press("Sign in")
    alice.at("/app/")
    alice.page.get_by_text("alice: good day").wait_for()
    alice.page.get_by_text(re.compile("tick [1-9]")).wait_for()
    # Waited for as the others are: three requests of a page come back in any order.
    alice.page.locator("#who").get_by_text("alice", exact=True).wait_for()
    # Another port of the same host gets the cookie sent along; another host does not.
    port = arguments["evil"].rsplit(":", 1)[1].strip("/")
    address = rig.base.replace("http", "ws") + "/chat"
    for evil in [f"http://localhost:{port}", f"http://127.0.0.1:{port}"]:
        other = alice.context.new_page()
        other.goto(evil)
        assert other.evaluate(TRY, address) == "closed 1006", evil
        other.close()
    # The twin: the same from our own page.
    assert alice.page.evaluate(TRY, address) == "message welcome alice"
    # Whoever signs out elsewhere is put out here, and the clock does not come back.
    out = alice.context.new_page()
    out.goto("/auth/account")
    out.get_by_role("button", name="Sign out").first.click()
    alice.page.get_by_text("closed 1006").wait_for()


run({"chats_and_is_overheard_by_nobody": chats_and_is_overheard_by_nobody})
