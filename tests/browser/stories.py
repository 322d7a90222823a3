"""What people do, from the first visit on. Nobody here has JavaScript, except where a story says so."""

from browser import run

FIRST = "a horse and a battery"
SECOND = "another staple altogether"
THIRD = "the third one is a charm"


def registers_and_is_promoted(rig, browser, arguments):
    """Registers, verifies by the mailed link, logs in, changes the password, ends another session, is promoted."""
    ada = rig.person(browser, "ada")
    ada.goto("/auth/login")
    ada.shot("01-login")
    ada.follow("Create an account")
    ada.fill(email="ada@example.test", username="ada", password=FIRST)
    ada.shot("02-register")
    ada.press("Create the account")
    ada.sees("Look into your mail")
    ada.shot("03-look-into-your-mail")
    verifies(rig, ada)
    ada.log_in("ada", FIRST)
    ada.goto("/auth/")
    ada.at("/auth/account")
    ada.shot("05-account")
    changes_password(rig, browser, ada)
    ends_another_session(rig, browser, ada)
    is_promoted(rig, browser, ada, arguments)
    forgets(rig, ada)
    moves(rig, ada)
    leaves(rig, ada)


def verifies(rig, ada):
    link = rig.link("ada@example.test", "verify")
    answer = ada.goto(link)
    assert answer.request.redirected_from is not None
    ada.at("/auth/verify")
    assert "token" not in ada.path()
    ada.shot("04-verify")
    # Looking spends nothing: a second look still has the button.
    ada.goto(link)
    ada.sees("ada@example.test is the address of the account ada")
    ada.press("Confirm")
    ada.at("/auth/login")
    ada.sees("Your e-mail address is confirmed.")
    ada.goto(link)
    ada.sees("The link is not good")


def changes_password(rig, browser, ada):
    other = rig.person(browser, "ada's other device")
    other.log_in("ada", FIRST)
    ada.goto("/auth/account")
    ada.follow("Change the password")
    ada.fill(current_password="wrong", password=SECOND)
    ada.press("Change the password")
    ada.sees("The password is wrong.")
    assert ada.page.locator("[name=current_password]").get_attribute("aria-invalid") == "true"
    ada.shot("06-wrong-password")
    ada.fill(current_password=FIRST, password="short")
    ada.press("Change the password")
    ada.sees("must have at least")
    ada.fill(current_password=FIRST, password=SECOND)
    ada.press("Change the password")
    ada.sees("Your password was changed")
    other.goto("/auth/account")
    other.at("/auth/login")
    other.close()


def ends_another_session(rig, browser, ada):
    other = rig.person(browser, "ada's other device")
    other.log_in("ada", SECOND)
    other.goto("/auth/account")
    other.at("/auth/account")
    ada.goto("/auth/account")
    ada.shot("07-sessions")
    ada.click("End the session of")
    ada.sees("The session was ended.")
    other.goto("/auth/account")
    other.at("/auth/login")
    other.close()


def is_promoted(rig, browser, ada, arguments):
    ada.goto("/auth/account")
    assert ada.page.get_by_role("link", name="Administration").count() == 0
    root = rig.person(browser, "root")
    root.log_in("super", arguments["password"])
    root.goto("/auth/admin")
    root.at("/auth/admin/users")
    root.page.get_by_label("Find by name or e-mail").fill("ADA@")
    root.press("Find")
    root.shot("08-admin-find")
    root.follow("ada")
    root.page.get_by_label("admin", exact=True).check()
    root.press("Save the roles")
    root.sees("The roles were saved.")
    root.shot("09-admin-promoted")
    # On the next request of the session that she has.
    ada.goto("/auth/account")
    ada.follow("Administration")
    ada.at("/auth/admin/users")
    ada.sees("super")
    root.close()


def forgets(rig, ada):
    ada.goto("/auth/account")
    ada.press("Sign out")
    ada.at("/auth/login")
    ada.sees("You are signed out.")
    ada.follow("Forgot your password?")
    ada.fill(email="ada@example.test")
    ada.press("Send the link")
    ada.sees("If there is an account")
    ada.goto(rig.link("ada@example.test", "reset-password"))
    ada.at("/auth/reset-password")
    assert "token" not in ada.path()
    ada.shot("10-reset-password")
    ada.fill(password=THIRD)
    ada.press("Set the password")
    ada.at("/auth/login")
    ada.sees("Your password was changed.")
    ada.log_in("ada@example.test", THIRD)


def moves(rig, ada):
    ada.goto("/auth/account")
    ada.follow("Change the address")
    ada.fill(email="countess@example.test", current_password=THIRD)
    ada.press("Change the address")
    ada.sees("We sent a link to the new address.")
    ada.sees("ada@example.test")
    ada.goto(rig.link("countess@example.test", "confirm-email"))
    ada.at("/auth/confirm-email")
    ada.press("Confirm")
    ada.sees("Your new e-mail address is confirmed")
    ada.goto("/auth/account")
    ada.sees("countess@example.test")
    rig.letter("ada@example.test", "countess@example.test")


def leaves(rig, ada):
    ada.follow("Delete the account")
    ada.fill(current_password="wrong")
    ada.press("Delete the account")
    ada.sees("The password is wrong.")
    ada.fill(current_password=THIRD)
    ada.press("Delete the account")
    ada.sees("Your account was deleted.")
    ada.log_in("ada", THIRD)
    ada.sees("Wrong name or password.")
    ada.close()


def is_invited_and_looked_after(rig, browser, arguments):
    """The console: inviting, adding with a first password, disabling, deleting, roles, permissions, the policy."""
    root = rig.person(browser, "root")
    root.log_in("super", arguments["password"])
    invites(rig, browser, root)
    adds(rig, browser, root)
    makes_a_role(root)
    explains(root)
    disables_and_deletes(rig, browser, root)
    root.close()


def invites(rig, browser, root):
    root.goto("/auth/admin/invitations")
    root.fill(email="bob@example.test")
    root.page.get_by_label("admin", exact=True).check()
    root.press("Send the invitation")
    root.sees("The invitation is on its way.")
    root.sees("bob@example.test")
    root.shot("20-invitations")
    bob = rig.person(browser, "bob")
    bob.goto(rig.link("bob@example.test", "register"))
    bob.at("/auth/register")
    assert "token" not in bob.path()
    bob.sees("bob@example.test")
    bob.shot("21-invited")
    bob.fill(username="super", password=FIRST)
    bob.press("Create the account")
    bob.sees("The username is taken.")
    bob.fill(username="bob", password=FIRST)
    bob.press("Create the account")
    bob.goto("/auth/account")
    bob.at("/auth/account")
    bob.sees("admin")
    bob.close()
    root.goto("/auth/admin/invitations")
    root.sees("Nobody is invited just now.")
    root.fill(email="eve@example.test")
    root.press("Send the invitation")
    link = rig.link("eve@example.test", "register")
    root.click("Take back")
    root.sees("The invitation was taken back.")
    eve = rig.person(browser, "eve")
    eve.goto(link)
    assert "password" not in eve.page.content() or eve.page.locator("[name=email]").count() == 1
    eve.close()


def adds(rig, browser, root):
    root.goto("/auth/admin/users")
    root.follow("Add a user")
    root.fill(username="carol", password=FIRST)
    root.fill(email="carol@example.test")
    root.shot("22-add-a-user")
    root.press("Add the user")
    root.sees("The user was added.")
    carol = rig.person(browser, "carol")
    carol.goto("/app/page?x=1")
    carol.at("/auth/login")
    carol.fill(username="carol", password=FIRST)
    carol.press("Sign in")
    carol.at("/auth/account/password")
    carol.sees("First, choose a password of your own")
    carol.shot("23-must-change")
    # Nothing else is open: not the account, not the service.
    for path in ["/auth/account", "/auth/admin", "/auth/account/delete", "/app/page"]:
        carol.goto(path)
        carol.at("/auth/account/password")
    carol.goto("/auth/account/password?next=%2Fapp%2Fpage%3Fx%3D1")
    carol.fill(current_password=FIRST, password=SECOND)
    carol.press("Change the password")
    assert carol.path() == "/app/page?x=1", carol.path()
    carol.close()


def makes_a_role(root):
    root.goto("/auth/admin/permissions")
    root.page.locator("main [name=name]").fill("posts:delete")
    root.page.locator("main [name=description]").fill("Removes posts")
    root.press("Add the permission")
    root.sees("posts:delete")
    root.page.locator("main [name=name]").fill("nonsense")
    root.press("Add the permission")
    root.sees("Permissions are written 'resource:action'")
    root.shot("24-permissions")
    root.goto("/auth/admin/roles")
    root.follow("Add a role")
    root.page.locator("main [name=name]").fill("moderator")
    root.page.locator("main [name=description]").fill("Keeps order")
    root.page.get_by_label("posts:delete").check()
    root.press("Add the role")
    root.sees("The role was added.")
    root.shot("25-roles")
    root.follow("moderator")
    root.page.locator("main [name=description]").fill("Keeps the peace")
    root.press("Save")
    root.sees("The role was saved.")
    assert root.page.get_by_label("posts:delete").is_checked()
    root.follow("Delete the role")
    root.sees("Nobody has it.")
    root.press("Delete")
    root.sees("The role was deleted.")
    root.goto("/auth/admin/roles")
    root.follow("editor")
    root.sees("written in gateway.yaml")
    assert root.page.get_by_role("button", name="Save").count() == 0


def explains(root):
    root.goto("/auth/admin/policy")
    root.sees("/app/**")
    root.page.locator("[name=path]").fill("/app/page")
    root.press("Explain")
    root.sees("login: by")
    root.page.locator("[name=path]").fill("/editors/x")
    root.page.locator("[name=as]").fill("carol")
    root.press("Explain")
    root.sees("deny: by")
    root.page.locator("[name=as]").fill("super")
    root.press("Explain")
    root.sees("allow: by")
    root.sees("forwarded to web")
    root.shot("26-policy")
    root.page.locator("[name=as]").fill("nobody-like-that")
    root.page.locator("[name=ip]").fill("300.1.1.1")
    root.press("Explain")
    root.sees("Nobody of that name may sign in.")
    root.sees("It is not an address.")


def disables_and_deletes(rig, browser, root):
    carol = rig.person(browser, "carol")
    carol.log_in("carol", SECOND)
    root.goto("/auth/admin/sessions")
    root.sees("carol")
    root.shot("27-sessions")
    root.goto("/auth/admin/users")
    root.follow("carol")
    root.page.get_by_label("May sign in").uncheck()
    root.press("Save")
    root.sees("The user was saved.")
    root.sees("disabled")
    carol.goto("/auth/account")
    carol.at("/auth/login")
    carol.log_in("carol", SECOND)
    carol.sees("Wrong name or password.")
    root.follow("Delete the user")
    root.sees("Delete carol?")
    root.shot("28-delete")
    root.press("Delete")
    root.sees("The user was deleted.")
    assert "carol" not in root.page.locator("table").inner_text()
    carol.close()


def signs_in_and_is_led_elsewhere(rig, browser, arguments):
    """What was asked for redirects to another site; browsers hold that to the policy of the page with the form."""
    ada = rig.person(browser, "ada")
    ada.goto("/app/start")
    ada.at("/auth/login")
    ada.fill(username="alice", password=arguments["alice"])
    ada.page.get_by_role("button", name="Sign in", exact=True).click()
    ada.page.wait_for_url(arguments["place"])
    assert not ada.errors, ada.errors
    ada.close()


def signs_in_by_keyboard(rig, browser, arguments):
    """Neither mouse nor touch, from the address bar to the service and out again."""
    ada = rig.person(browser, "ada", javascript=True)
    ada.goto("/app/hello")
    ada.at("/auth/login")
    keys = ada.page.keyboard
    focused = lambda: ada.page.evaluate("(document.activeElement.name || document.activeElement.innerText || '').trim()")
    # A browser puts the cursor there once it has come to that.
    ada.page.wait_for_function("document.activeElement.name === 'username'")
    keys.type("alice")
    keys.press("Tab")
    assert focused() == "password"
    keys.type("wrong")
    keys.press("Enter")
    ada.page.wait_for_selector("[role=alert]")
    ada.sees("Wrong name or password.")
    # The name is still there, and the password is where the cursor is.
    ada.page.wait_for_function("document.activeElement.name === 'password'")
    keys.type(arguments["alice"])
    keys.press("Tab")
    assert focused() == "Sign in"
    # What has the focus is seen to have it.
    outline = ada.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", outline
    ada.shot("30-keyboard")
    with ada.page.expect_navigation():
        keys.press("Enter")
    assert ada.path() == "/app/hello", ada.path()
    ada.goto("/auth/account")
    keys.press("Tab")
    assert focused() == "Skip to the content", focused()
    ada.shot("31-skip")
    seen = []
    for _ in range(40):
        keys.press("Tab")
        seen.append(focused())
        if seen[-1] == "Sign out":
            break
    with ada.page.expect_navigation():
        keys.press("Enter")
    ada.at("/auth/login")
    # The one of a wrong password, which browsers tell as well.
    errors = [error for error in ada.errors if "401" not in error]
    assert not errors, errors


run({it.__name__: it for it in [registers_and_is_promoted, is_invited_and_looked_after, signs_in_and_is_led_elsewhere, signs_in_by_keyboard]})
