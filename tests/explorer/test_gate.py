"""Who may ask what: addresses, methods, origins, tokens, paths, and what every answer says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the explorer is an extra: pip install 'convnets[web]'")

from convnets.explorer import app, networks
from convnets.explorer.app import ASSETS
from tests.explorer.conftest import HOSTILE, SECRET, Served, Serving, raw, status

PAGE = Path(app.__file__).parent / "page"
OTHER_METHODS = ("OPTIONS", "PUT", "DELETE", "TRACE")


def routes(server: Served) -> list[tuple[str, bytes | None]]:
    """Five routes, one of them an upload."""
    model = server.ids["resnet20"]
    return [
        ("/api/start", None),
        ("/api/networks/lenet5?level=stages", None),
        ("/api/runs", None),
        (f"/api/models/{model}", None),
        (f"/api/models/{model}/look", PICTURE),
    ]


PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def listeners(port: int) -> list[str]:
    """Local addresses that listen on a port, as the kernel writes them."""
    lines = Path("/proc/net/tcp").read_text().splitlines()
    lines += Path("/proc/net/tcp6").read_text().splitlines()
    sockets = [line.split() for line in lines]
    places = [each[1].split(":") for each in sockets if len(each) > 3 and each[3] == "0A"]
    return [address for address, at in places if int(at, 16) == port]


def test_it_listens_on_loopback_alone(server: Served) -> None:
    assert listeners(server.port) == ["0100007F"]


def test_all_addresses_need_consent_and_the_token(serve_with: Serving) -> None:
    server = serve_with(host="0.0.0.0", exposed=True)
    assert listeners(server.port) == ["00000000"]
    without = [server.ask(path, body, {"X-Convnets-Token": None}) for path, body in routes(server)]
    assert [each.status for each in without] == [403] * 5
    host = {"Host": f"192.0.2.7:{server.port}"}
    assert server.ask("/api/start", headers=host).status == 200
    assert server.ask("/api/start", headers={"Host": f"evil.example:{server.port}"}).status == 421


def test_an_error_of_ours_shows_no_innards(serve_with: Serving) -> None:
    def break_it() -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError(SECRET)

        networks.anatomy = broken  # type: ignore[assignment]

    server = serve_with(before=break_it)
    answer = server.ask("/api/networks/lenet5")
    assert answer.is_refusal(500)
    assert SECRET not in str(answer)
    assert "ZeroDivision" not in str(answer)
    assert server.ask("/api/start").status == 200


def test_each_attack_fails_on_each_route(server: Served) -> None:
    port = server.port
    attacks: list[tuple[int, dict[str, str | None]]] = [
        (421, {"Host": f"evil.example:{port}"}),
        (421, {"Host": f"127.0.0.1:{port + 1}"}),
        (403, {"X-Convnets-Token": None}),
        (403, {"X-Convnets-Token": "x" * len(server.token)}),
        (403, {"Origin": "http://evil.example"}),
        (403, {"Origin": "null"}),
        (403, {"Sec-Fetch-Site": "cross-site"}),
    ]
    held = tried = 0
    for path, body in routes(server):
        for wanted, headers in attacks:
            answer = server.ask(path, body, headers)
            tried += 1
            held += answer.is_refusal(wanted) and not grants(answer.headers)
        answers = [server.ask(path, method=method) for method in OTHER_METHODS]
        tried += 1
        held += all(each.is_refusal(405) and not grants(each.headers) for each in answers)
    assert (held, tried) == (40, 40)


def grants(headers: dict[str, str]) -> list[str]:
    return [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_our_own_page_may_ask_everything(server: Served, host: str) -> None:
    here = f"{host}:{server.port}"
    ours = {"Host": here, "Origin": f"http://{here}", "Sec-Fetch-Site": "same-origin"}
    answers = [server.ask(path, body, ours) for path, body in routes(server)]
    assert [each.status for each in answers] == [200] * 5
    assert not any(grants(each.headers) for each in answers)


def test_every_answer_carries_the_policy(server: Served) -> None:
    paths = ["/", "/page/main.js", "/nothing", "/api/start", "/api/nothing", "/api/runs/nothing"]
    answers = [server.ask(path) for path in paths]
    answers.append(server.ask("/", method="PUT"))
    answers.append(server.ask("/", headers={"Host": "evil.example"}))
    for answer in answers:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        policy = headers["content-security-policy"].split("; ")
        assert policy[0] == "default-src 'self'"
        assert "frame-ancestors 'none'" in policy
        assert not any("unsafe" in each or "http" in each or "*" in each for each in policy)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
    broken = raw(server.port, b"nonsense\r\n\r\n")
    assert status(broken) == 400
    assert b"nosniff" in broken


NAMES = [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e%2fsecret.txt", "%2e%2e/secret.txt",
    "..%5csecret.txt", "..\\secret.txt", "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd",
    "../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd", "%00", "x%00.js", ".", "..",
    "runs", "RESNET20", "a" * 65, "%c3%a9", "%ff", "<script>", "link.js", "file:%2f%2f%2fetc",
]  # fmt: skip
PLACES = ["/{}", "/page/{}", "/api/runs/{}", "/api/models/{}", "/api/networks/{}", "/api/{}"]


@pytest.fixture
def linked(trained: Path, tmp_path: Path, serve_with: Serving) -> Served:
    """A server whose page's folder and whose runs hold links to a secret outside."""
    page, folders = tmp_path / "page", tmp_path / "runs"
    shutil.copytree(PAGE, page)
    (page / "link.js").symlink_to(trained.parent / "secret.txt")
    shutil.copytree(trained, folders)
    (folders / "link").symlink_to(trained.parent)
    (folders / "linked").mkdir()
    (folders / "linked" / "result.json").symlink_to(trained.parent / "secret.txt")

    class Package:
        joinpath = staticmethod(lambda name: tmp_path / name)

    def elsewhere() -> None:
        app.files = lambda _: Package  # type: ignore[assignment, return-value]

    return serve_with(folders, before=elsewhere)


def test_no_name_leads_out_of_the_lists(linked: Served, trained: Path) -> None:
    private = [SECRET.encode(), b"root:x:0:0"]
    held = tried = 0
    for place in PLACES:
        for name in NAMES:
            head = f"GET {place.format(name)} HTTP/1.1\r\nHost: 127.0.0.1:{linked.port}\r\n"
            head += f"X-Convnets-Token: {linked.token}\r\nConnection: close\r\n\r\n"
            answer = raw(linked.port, head.encode())
            tried += 1
            held += status(answer) in ALLOWED.get(place.format(name), {400, 404}) and not any(
                each in answer for each in private
            )
    assert (held, tried) == (len(PLACES) * len(NAMES),) * 2
    overview = linked.ask("/api/runs")
    assert SECRET not in overview.body.decode()
    assert len(overview.json["problems"]) == 1
    assert len(overview.json["models"]) == 2


ALLOWED = {"/api/runs": {200}}


def test_ids_are_short_and_plain_and_listed(server: Served, trained: Path) -> None:
    assert len(server.ids) == 2
    for each in server.ids.values():
        assert re.fullmatch(r"[a-z0-9-]{1,64}", each)
        assert server.ask(f"/api/runs/{each}").status == 200
        assert server.ask(f"/api/runs/{each[:-1]}").is_refusal(404)
    (run,) = (each.name for each in trained.iterdir() if each.name.startswith("resnet20"))
    assert server.ask(f"/api/runs/{run}").is_refusal(404)


def test_names_reach_the_page_as_json_alone(server: Served) -> None:
    answer = server.ask(f"/api/models/{server.ids['lenet5']}")
    assert answer.headers["content-type"] == "application/json"
    assert HOSTILE in answer.json["classes"]
    for name in ("/", "/page/look.js"):
        assert HOSTILE not in server.ask(name).body.decode()


def test_the_page_sets_text_alone_and_asks_no_other_machine() -> None:
    text = {name: (PAGE / name).read_text("utf-8") for name in ASSETS}
    assert sorted(ASSETS) == sorted(path.name for path in PAGE.iterdir())
    makers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\("
    for name, content in text.items():
        assert not re.search(makers, content), name
        foreign = set(re.findall(r"https?://[^\"'`\s)]+", content))
        assert foreign <= {"http://www.w3.org/2000/svg"}, name
    inline = r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle="
    assert not re.search(inline, text["index.html"])


def test_pages_have_their_kinds(server: Served) -> None:
    kinds = {name: server.ask(f"/page/{name}").headers["content-type"] for name in ASSETS}
    assert kinds["main.js"].startswith("text/javascript")
    assert kinds["style.css"].startswith("text/css")
    assert server.ask("/").headers["content-type"].startswith("text/html")
